-- schedule_retries: schedule the next attempt of events that failed, or set them aside after three days.
--
-- An event that no longer waits for an earlier one of its order is sent at once.
--
-- In      in_receiver_id  BIGINT    that the transaction has locked, with its position before the batch; NULL: nothing
--                                   happens
--         in_results      LONGTEXT  as report_deliveries
-- Out     out_set_aside   BIGINT    events
-- Errors  none
-- Locks   retries of the receiver; until the caller's COMMIT
-- Retry   safe; a failure may count twice
-- Txn     the caller's
CREATE PROCEDURE schedule_retries(IN in_receiver_id BIGINT, IN in_results LONGTEXT, OUT out_set_aside BIGINT)
COMMENT 'schedule the next attempt of events that failed, or set them aside after three days'
BEGIN
    DECLARE v_first_positions JSON;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ JSON_TABLE(
        in_results,
        '$[*]' COLUMNS (
            position BIGINT PATH '$.position', status BIGINT PATH '$.status', failure TEXT PATH '$.failure'
        )
    ) AS result
    STRAIGHT_JOIN event_retries AS retry ON retry.receiver_id = in_receiver_id AND retry.position = result.position
    SET
        retry.set_aside_at = IF(retry.moved_at <= UTC_TIMESTAMP() - INTERVAL 3 DAY, UTC_TIMESTAMP(), NULL),
        retry.next_attempt_at = IF(
            retry.moved_at <= UTC_TIMESTAMP() - INTERVAL 3 DAY,
            NULL,
            UTC_TIMESTAMP() + INTERVAL 5 * POW(3, LEAST(retry.attempts, 6)) SECOND
        ),
        retry.failure = COALESCE(CONCAT('status ', result.status), LEFT(result.failure, 255)),
        retry.attempts = retry.attempts + 1;

    SELECT COUNT(retry.set_aside_at) INTO out_set_aside
    FROM JSON_TABLE(in_results, '$[*]' COLUMNS (position BIGINT PATH '$.position')) AS result
    STRAIGHT_JOIN event_retries AS retry ON retry.receiver_id = in_receiver_id AND retry.position = result.position;

    SELECT JSON_ARRAYAGG(first_.position) INTO v_first_positions
    FROM (
        SELECT MIN(retry.position) AS position
        FROM (
            SELECT event_.order_id
            FROM JSON_TABLE(in_results, '$[*]' COLUMNS (position BIGINT PATH '$.position')) AS result
            STRAIGHT_JOIN events AS event_ ON event_.position = result.position
            UNION DISTINCT
            SELECT moved.order_id
            FROM event_receivers AS receiver
            STRAIGHT_JOIN event_retries AS moved
                ON moved.receiver_id = receiver.id AND moved.position > receiver.position
            WHERE receiver.id = in_receiver_id
        ) AS changed
        STRAIGHT_JOIN event_retries AS retry
            ON retry.receiver_id = in_receiver_id
            AND retry.order_id = changed.order_id
            AND retry.set_aside_at IS NULL
        GROUP BY changed.order_id
    ) AS first_;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(v_first_positions, '$[*]' COLUMNS (position BIGINT PATH '$')) AS first_
    STRAIGHT_JOIN event_retries AS retry ON retry.receiver_id = in_receiver_id AND retry.position = first_.position
    SET retry.next_attempt_at = COALESCE(retry.next_attempt_at, UTC_TIMESTAMP());
END
