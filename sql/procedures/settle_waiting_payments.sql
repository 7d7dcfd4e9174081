-- settle_waiting_payments: apply waiting events whose order exists by now, and orphan those that waited too long.
--
-- In      in_limit  BIGINT  events, 1 to 1,000
-- Out     one row per event that no longer waits: event_id, idempotency_key (text), order_id, status, outcome
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as settle_orders; then the orphans by primary key, ascending; until each COMMIT
-- Retry   safe
-- Txn     its own, two; refused inside another
CREATE PROCEDURE settle_waiting_payments(IN in_limit BIGINT)
COMMENT 'apply waiting events whose order exists by now, and orphan those that waited too long'
BEGIN
    DECLARE v_event_ids JSON;
    DECLARE v_order_ids JSON;
    DECLARE v_locked_ids JSON;
    DECLARE v_products JSON;

    IF COALESCE(in_limit NOT BETWEEN 1 AND 1000, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        -- Two groups, each with a limit of its own, so that many of one kind do not hide the other.
        SELECT JSON_ARRAYAGG(JSON_OBJECT('event_id', found_.id, 'order_id', found_.order_id)) INTO v_event_ids
        FROM (
            (
                SELECT event_.id, event_.order_id
                FROM payment_events AS event_
                INNER JOIN orders AS order_ ON order_.id = event_.order_id
                WHERE event_.outcome = 'waiting'
                LIMIT in_limit
            )
            UNION DISTINCT
            (
                SELECT event_.id, event_.order_id
                FROM payment_events AS event_
                WHERE
                    event_.outcome = 'waiting'
                    AND event_.received_at <= UTC_TIMESTAMP(6) - INTERVAL setting('waiting_payment_ttl_s') SECOND
                LIMIT in_limit
            )
        ) AS found_;

        SELECT JSON_ARRAYAGG(named.order_id) INTO v_order_ids
        FROM (
            SELECT DISTINCT order_id
            FROM JSON_TABLE(v_event_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$.order_id')) AS element
        ) AS named;
        CALL lock_existing_orders(v_order_ids, v_locked_ids);
        CALL settle_orders(v_locked_ids, v_products);
        COMMIT;
    END;

    CALL orphan_payments(v_event_ids);

    SELECT
        event_.id AS event_id,
        CONVERT(event_.idempotency_key USING utf8mb4) AS idempotency_key,
        event_.order_id,
        event_.status,
        event_.outcome
    FROM JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$.event_id')) AS found_
    STRAIGHT_JOIN payment_events AS event_ ON event_.id = found_.event_id
    WHERE event_.outcome <> 'waiting'
    ORDER BY event_.id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
