-- list_deliveries: read the events that a receiver gets next: those that are to be retried now, and new ones.
--
-- Nothing changes until report_deliveries, so events that were sent and not reported are read again. A new event whose
-- order has an event to retry is not among the rows. A receiver that accepted nothing of its last batch gets smaller
-- batches, after a pause.
--
-- In      in_receiver_id  BIGINT  one that is not active, or does not exist, gets nothing
--         in_limit        BIGINT  new positions to consider, and events to retry, 1 to 500 of each
-- Out     one row per event, by position, as list_events: send those of one order_id one after another, and none after
--         one that was not accepted; then one row: through_position, for report_deliveries (NULL: there is nothing to
--         send and to report now)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   event_counter, then the events that get a position; until COMMIT; none where there is no new event
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE list_deliveries(IN in_receiver_id BIGINT, IN in_limit BIGINT)
COMMENT 'read the events that a receiver gets next: those that are to be retried now, and new ones'
BEGIN
    DECLARE v_last_position BIGINT;
    DECLARE v_purged_position BIGINT;
    DECLARE v_position BIGINT;
    DECLARE v_through_position BIGINT;
    DECLARE v_limit BIGINT;
    DECLARE v_types VARCHAR(1024);
    DECLARE v_positions JSON;

    IF COALESCE(in_limit NOT BETWEEN 1 AND 500, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL number_events(v_last_position, v_purged_position);
    SELECT GREATEST(position, v_purged_position), types, IF(failed_batches > 0, LEAST(in_limit, 10), in_limit)
    INTO v_position, v_types, v_limit
    FROM event_receivers
    WHERE id = in_receiver_id AND state = 'active' AND COALESCE(resumes_at <= UTC_TIMESTAMP(), TRUE);
    SET v_through_position = LEAST(v_last_position, v_position + v_limit);

    SELECT JSON_ARRAYAGG(chosen.position) INTO v_positions
    FROM (
        (
            SELECT retry.position
            FROM event_retries AS retry
            WHERE retry.receiver_id = in_receiver_id AND retry.next_attempt_at <= UTC_TIMESTAMP()
            ORDER BY retry.next_attempt_at, retry.position
            LIMIT v_limit
        )
        UNION ALL
        (
            SELECT event_.position
            FROM events AS event_
            WHERE
                event_.position BETWEEN v_position + 1 AND v_through_position
                AND COALESCE(FIND_IN_SET(event_.type, v_types), TRUE)
                AND NOT EXISTS (
                    SELECT 1
                    FROM event_retries AS earlier
                    WHERE
                        earlier.receiver_id = in_receiver_id
                        AND earlier.order_id = event_.order_id
                        AND earlier.set_aside_at IS NULL
                )
        )
    ) AS chosen
    WHERE v_position IS NOT NULL;

    SELECT
        event_.position,
        event_.type,
        event_.order_id,
        event_.hold_ids,
        event_.occurred_at,
        event_.reason,
        event_.amount,
        CONVERT(event_.payment_id USING utf8mb4) AS payment_id,
        event_.refund_id,
        event_.status
    FROM JSON_TABLE(v_positions, '$[*]' COLUMNS (position BIGINT PATH '$')) AS chosen
    STRAIGHT_JOIN events AS event_ ON event_.position = chosen.position
    ORDER BY event_.position;
    SELECT IF(v_positions IS NULL AND v_through_position <= v_position, NULL, v_through_position) AS through_position;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
