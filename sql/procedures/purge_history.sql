-- purge_history: delete expired idempotency keys, and history that is older than history_ttl_s or event_ttl_s seconds.
--
-- Paid orders, their holds and their payment events are never deleted, nor is an order with a due refund or a payment
-- to review.
--
-- In      in_limit  BIGINT  rows of each kind, 1 to 10,000
-- Out     one row: idempotency_keys, holds, orders, payment_events, sweeps, events (deleted)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   idempotency keys, holds, orders, payment events, sweeps, event_counter, events that are
--         deleted; until COMMIT
-- Retry   safe
-- Txn     its own, two; refused inside another
CREATE PROCEDURE purge_history(IN in_limit BIGINT)
COMMENT 'delete expired idempotency keys, and history that is older than history_ttl_s or event_ttl_s seconds'
BEGIN
    DECLARE v_before DATETIME;
    DECLARE v_keys BIGINT;
    DECLARE v_holds BIGINT;
    DECLARE v_orders BIGINT;
    DECLARE v_payment_events BIGINT;
    DECLARE v_sweeps BIGINT;
    DECLARE v_events BIGINT;
    DECLARE v_last_position BIGINT;
    DECLARE v_purged_position BIGINT;

    IF COALESCE(in_limit NOT BETWEEN 1 AND 10000, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    -- Only events with a position are purged, and so far nobody may have asked for them.
    CALL number_events(v_last_position, v_purged_position);
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SET v_before = UTC_TIMESTAMP() - INTERVAL setting('history_ttl_s') SECOND;
        DELETE FROM idempotency_keys WHERE purge_after <= UTC_TIMESTAMP() ORDER BY purge_after LIMIT in_limit;
        SET v_keys = ROW_COUNT();
        DELETE FROM holds
        WHERE status IN ('expired', 'released') AND expires_at <= v_before LIMIT in_limit;
        SET v_holds = ROW_COUNT();
        CALL purge_orders(v_before, in_limit, v_orders, v_payment_events);
        DELETE FROM sweeps WHERE reported_at <= v_before LIMIT in_limit;
        SET v_sweeps = ROW_COUNT();
        CALL purge_events(in_limit, v_events);
        COMMIT;
    END;
    SELECT
        v_keys AS idempotency_keys,
        v_holds AS holds,
        v_orders AS orders,
        v_payment_events AS payment_events,
        v_sweeps AS sweeps,
        v_events AS events;
END
