-- lock_waiting_events: lock the waiting payment events of orders that the transaction has locked.
--
-- A plain read finds them, and they are locked by primary key: a locking read of the index would wait for events that
-- are being recorded, and their transactions may wait for these orders.
--
-- In      in_order_ids   JSON     array of distinct ids
-- Out     out_event_ids  JSON     array of the events that are waiting under the lock, or NULL
--         out_failures   BIGINT   how many of them say that a payment failed
-- Errors  none
-- Locks   payment events by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE lock_waiting_events(IN in_order_ids JSON, OUT out_event_ids JSON, OUT out_failures BIGINT)
COMMENT 'lock the waiting payment events of orders that the transaction has locked'
BEGIN
    DECLARE v_found JSON;

    SELECT JSON_ARRAYAGG(event_.id) INTO v_found
    FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS wanted
    STRAIGHT_JOIN payment_events AS event_ ON event_.outcome = 'waiting' AND event_.order_id = wanted.order_id;

    SET out_event_ids = NULL, out_failures = 0;
    IF v_found IS NOT NULL THEN
        SELECT JSON_ARRAYAGG(locked_.id), SUM(locked_.status = 'failure') INTO out_event_ids, out_failures
        FROM (
            SELECT event_.id, event_.status
            FROM (
                SELECT event_id FROM JSON_TABLE(v_found, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS element
                ORDER BY event_id LIMIT 100000
            ) AS found_
            STRAIGHT_JOIN payment_events AS event_ ON event_.id = found_.event_id
            WHERE event_.outcome = 'waiting'
            FOR UPDATE OF event_
        ) AS locked_;
    END IF;
END
