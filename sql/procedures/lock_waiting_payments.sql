-- lock_waiting_payments: lock the waiting payment events of orders that the transaction has locked.
--
-- A plain SELECT finds them, then they are locked by primary key. A locking read of the index would wait for events
-- that are being recorded, and their transactions may come to wait for these orders.
--
-- In      in_order_ids  JSON  array of distinct ids
-- Out     out_events    JSON  array of at most 1,000 events as apply_payments, in arrival order, with "event_id" and
--                             "is_too_old" (1: it waited waiting_payment_ttl_s seconds); or NULL
-- Errors  none
-- Locks   payment events by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE lock_waiting_payments(IN in_order_ids JSON, OUT out_events JSON)
COMMENT 'lock the waiting payment events of orders that the transaction has locked'
BEGIN
    DECLARE v_found JSON;
    DECLARE v_received_before DATETIME(6);

    SELECT JSON_ARRAYAGG(waiting.id) INTO v_found
    FROM (
        SELECT event_.id
        FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS wanted
        STRAIGHT_JOIN payment_events AS event_ ON event_.outcome = 'waiting' AND event_.order_id = wanted.order_id
        ORDER BY event_.received_at, event_.id
        LIMIT 1000
    ) AS waiting;

    SET out_events = NULL;
    IF v_found IS NOT NULL THEN
        SET v_received_before = UTC_TIMESTAMP(6) - INTERVAL setting('waiting_payment_ttl_s') SECOND;
        SELECT /*+ SET_VAR(group_concat_max_len = 16777216) */
            CONCAT('[', GROUP_CONCAT(
                JSON_OBJECT(
                    'event_id', locked_.id,
                    'idempotency_key', CONVERT(locked_.idempotency_key USING utf8mb4),
                    'order_id', locked_.order_id,
                    'status', locked_.status,
                    'payment_id', CONVERT(locked_.payment_id USING utf8mb4),
                    'amount', CAST(locked_.amount AS CHAR),
                    'currency', locked_.currency,
                    'is_too_old', IF(locked_.received_at <= v_received_before, 1, 0)
                )
                ORDER BY locked_.received_at, locked_.id
            ), ']')
        INTO out_events
        FROM (
            SELECT
                event_.id, event_.idempotency_key, event_.order_id, event_.status, event_.payment_id, event_.amount,
                event_.currency, event_.received_at
            FROM (
                SELECT event_id FROM JSON_TABLE(v_found, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS element
                ORDER BY event_id LIMIT 1000
            ) AS found_
            STRAIGHT_JOIN payment_events AS event_ ON event_.id = found_.event_id
            WHERE event_.outcome = 'waiting'
            FOR UPDATE OF event_
        ) AS locked_;
    END IF;
END
