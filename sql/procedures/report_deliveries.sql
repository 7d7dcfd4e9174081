-- report_deliveries: record what a receiver answered to a batch of events, and move its position on.
--
-- An event up to the new position that was not accepted moves to event_retries, and so does each later event of its
-- order. The first one of an order is sent again after pauses that grow from 5 s to an hour. If it fails three days
-- after it was moved, it is set aside, and the next one of its order is sent.
--
-- In      in_receiver_id       BIGINT    one that does not exist is ignored: it may have been removed
--         in_through_position  BIGINT    as list_deliveries returned it
--         in_results           LONGTEXT  array of at most 1,000 {"position", "status" (of the HTTP answer), "failure"
--                                        (text, instead of a status)}; an event that was not sent is not in it
-- Out     one row: accepted, failed, set_aside (events of this batch), state (of the receiver: active, paused, gone)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   the receiver, then its retries; until COMMIT
-- Retry   safe: accepted events stay accepted; a failure may count twice
-- Txn     its own; refused inside another
CREATE PROCEDURE report_deliveries(
    IN in_receiver_id BIGINT, IN in_through_position BIGINT, IN in_results LONGTEXT
)
COMMENT 'record what a receiver answered to a batch of events, and move its position on'
BEGIN
    DECLARE v_receiver_id BIGINT;
    DECLARE v_accepted BIGINT;
    DECLARE v_failed BIGINT;
    DECLARE v_is_gone BOOLEAN;
    DECLARE v_set_aside BIGINT;

    IF COALESCE(in_through_position < 0, TRUE) OR NOT COALESCE(JSON_VALID(in_results), FALSE) THEN
        CALL raise_error(30001);
    END IF;
    CALL require_batch(in_results);
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT id INTO v_receiver_id FROM event_receivers WHERE id = in_receiver_id FOR UPDATE;
        SELECT
            COALESCE(SUM(status BETWEEN 200 AND 299), 0),
            COUNT(*) - COALESCE(SUM(status BETWEEN 200 AND 299), 0),
            COALESCE(MAX(status = 410), FALSE)
        INTO v_accepted, v_failed, v_is_gone
        FROM JSON_TABLE(in_results, '$[*]' COLUMNS (status BIGINT PATH '$.status')) AS result;

        CALL move_deliveries(v_receiver_id, in_through_position, in_results);
        CALL schedule_retries(v_receiver_id, in_results, v_set_aside);
        UPDATE event_receivers
        SET
            position = GREATEST(position, in_through_position),
            state = IF(v_is_gone, 'gone', state),
            -- A few failures may be the fault of these events.
            failed_batches = CASE
                WHEN v_accepted > 0 THEN 0
                WHEN v_failed >= IF(failed_batches > 0, 1, 10) THEN failed_batches + 1
                ELSE failed_batches
            END,
            resumes_at = IF(
                failed_batches > 0, UTC_TIMESTAMP() + INTERVAL POW(2, LEAST(failed_batches, 6)) SECOND, NULL
            )
        WHERE id = v_receiver_id;
        COMMIT;
    END;
    SELECT v_accepted AS accepted, v_failed AS failed, v_set_aside AS set_aside, state
    FROM event_receivers
    WHERE id = v_receiver_id;

    COMMIT; -- the transaction that the SELECT above may have opened, see begin_transaction
END
