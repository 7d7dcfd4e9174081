-- move_deliveries: delete the retries that a receiver accepted, and insert the new events that it did not accept.
--
-- In      in_receiver_id       BIGINT    that the transaction has locked; NULL: nothing happens
--         in_through_position  BIGINT    as report_deliveries
--         in_results           LONGTEXT  as report_deliveries
-- Out     nothing
-- Errors  none
-- Locks   retries of the receiver; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE move_deliveries(IN in_receiver_id BIGINT, IN in_through_position BIGINT, IN in_results LONGTEXT)
COMMENT 'delete the retries that a receiver accepted, and insert the new events that it did not accept'
BEGIN
    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ retry
    FROM JSON_TABLE(
        in_results, '$[*]' COLUMNS (position BIGINT PATH '$.position', status BIGINT PATH '$.status')
    ) AS result
    STRAIGHT_JOIN event_retries AS retry ON retry.receiver_id = in_receiver_id AND retry.position = result.position
    WHERE result.status BETWEEN 200 AND 299;

    INSERT INTO event_retries (receiver_id, position, order_id, moved_at, next_attempt_at)
    SELECT
        receiver.id,
        event_.position,
        event_.order_id,
        UTC_TIMESTAMP(),
        IF(event_.order_id IS NULL, UTC_TIMESTAMP(), NULL) -- schedule_retries: the first one of each order
    FROM event_receivers AS receiver
    STRAIGHT_JOIN events AS event_
        ON
            event_.position > receiver.position
            AND event_.position <= in_through_position
            AND COALESCE(FIND_IN_SET(event_.type, receiver.types), TRUE)
    LEFT JOIN (
        SELECT DISTINCT position -- DISTINCT: MySQL then finds a position by a key
        FROM JSON_TABLE(
            in_results, '$[*]' COLUMNS (position BIGINT PATH '$.position', status BIGINT PATH '$.status')
        ) AS result
        WHERE status BETWEEN 200 AND 299
    ) AS accepted ON accepted.position = event_.position
    WHERE receiver.id = in_receiver_id AND accepted.position IS NULL;
END
