-- orphan_waiting_payments: mark events that waited too long as orphaned; a payment among them is a refund due.
--
-- In      in_event_ids  JSON  array of ids, or NULL: the candidates
-- Out     nothing
-- Errors  none
-- Locks   payment events by primary key, ascending, then its own new events; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE orphan_waiting_payments(IN in_event_ids JSON)
COMMENT 'mark events that waited too long as orphaned; a payment among them is a refund due'
BEGIN
    DECLARE v_received_before DATETIME(6) DEFAULT UTC_TIMESTAMP(6) - INTERVAL setting('waiting_payment_ttl_s') SECOND;
    DECLARE v_event_ids JSON;

    SELECT JSON_ARRAYAGG(locked_.id) INTO v_event_ids
    FROM (
        SELECT event_.id
        FROM (
            SELECT event_id FROM JSON_TABLE(in_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS element
            ORDER BY event_id LIMIT 100000
        ) AS candidate
        STRAIGHT_JOIN payment_events AS event_ ON event_.id = candidate.event_id
        WHERE event_.outcome = 'waiting' AND event_.received_at <= v_received_before
        FOR UPDATE OF event_
    ) AS locked_;

    IF v_event_ids IS NOT NULL THEN
        -- An order may exist by now, but nobody has been waiting for this payment of it.
        INSERT INTO events (type, order_id, hold_ids, occurred_at, reason, amount, payment_id)
        SELECT
            'refund.due', event_.order_id, JSON_ARRAY(), UTC_TIMESTAMP(), 'orphaned',
            COALESCE(event_.amount, order_.amount), event_.payment_id
        FROM JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS locked_
        STRAIGHT_JOIN payment_events AS event_ ON event_.id = locked_.event_id
        LEFT JOIN orders AS order_ ON order_.id = event_.order_id
        WHERE
            event_.status = 'success'
            AND NOT EXISTS (SELECT 1 FROM repeated_payments AS repeated WHERE repeated.event_id = event_.id)
        ORDER BY event_.received_at, event_.id;

        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS locked_
        STRAIGHT_JOIN payment_events AS event_ ON event_.id = locked_.event_id
        SET event_.outcome = 'orphaned';
    END IF;
END
