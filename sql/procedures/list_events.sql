-- list_events: read a page of the events of a caller's orders and holds, by position.
--
-- In      in_caller  VARCHAR(1024)  to 64 bytes; '': everybody's events, those of nobody's payments included
--         in_after   BIGINT         the last position seen; 0: begin with the oldest event that is kept
--         in_limit   BIGINT         rows, 1 to 1,000
-- Out     one row per event: position, type (order.created, order.paid, order.cancelled, order.refunded, refund.due,
--         hold.expired), order_id (NULL: hold.expired), hold_ids (JSON array, ascending), occurred_at (DATETIME, UTC),
--         reason (of order.cancelled: payment_failed, cancelled, timed_out; of refund.due: see refunds_due), amount
--         (DECIMAL), payment_id (text), refund_id, status (of order.refunded: paid, refunded); a column that a type
--         does not have is NULL;
--         then one row: last_position (every event up to it was considered), oldest_position (of the events that are
--         kept), errno (NULL: accepted)
-- Errors  30001 invalid_request, 30003 transaction_in_progress; in errno: 30501 events_purged
-- Locks   event_counter, then the events that get a position; until COMMIT; none where there is no new event
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE list_events(IN in_caller VARCHAR(1024), IN in_after BIGINT, IN in_limit BIGINT)
COMMENT 'read a page of the events of a caller''s orders and holds, by position'
BEGIN
    DECLARE v_last_position BIGINT;
    DECLARE v_purged_position BIGINT;
    DECLARE v_kept_after BIGINT;

    IF COALESCE(in_after < 0 OR in_limit NOT BETWEEN 1 AND 1000 OR LENGTH(in_caller) > 64, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL number_events(v_last_position, v_purged_position);
    SET v_kept_after = IF(in_after BETWEEN 1 AND v_purged_position - 1, NULL, in_after);
    CALL read_events(in_caller, in_after, in_limit);
    SELECT
        v_last_position AS last_position,
        v_purged_position + 1 AS oldest_position,
        IF(v_kept_after IS NULL, 30501, NULL) AS errno;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
