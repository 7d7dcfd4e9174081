-- settle_refund: mark a due refund as settled.
--
-- In      in_idempotency_key  VARCHAR(1024)  key of the payment event that is refunded
-- Out     one row: event_id, order_id, refund_settled_at (DATETIME, UTC), replayed (1: was settled before)
-- Errors  30003 transaction_in_progress, 30401 payment_not_found, 30402 refund_not_due
-- Locks   the payment event; until COMMIT
-- Retry   safe: a settled refund stays settled
-- Txn     its own; refused inside another
CREATE PROCEDURE settle_refund(IN in_idempotency_key VARCHAR(1024))
COMMENT 'mark a due refund as settled'
BEGIN
    DECLARE v_event_id BIGINT;
    DECLARE v_order_id BIGINT;
    DECLARE v_settled_at DATETIME;
    DECLARE v_due BIGINT;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT id, order_id, refund_settled_at INTO v_event_id, v_order_id, v_settled_at
        FROM payment_events
        WHERE idempotency_key = CAST(in_idempotency_key AS BINARY)
        FOR UPDATE;
        IF v_event_id IS NULL THEN
            CALL raise_error(30401);
        END IF;
        IF v_settled_at IS NULL THEN
            SELECT COUNT(*) INTO v_due FROM refunds_due WHERE order_id = v_order_id AND event_id = v_event_id;
            IF v_due = 0 THEN
                CALL raise_error(30402);
            END IF;
            CALL orphan_waiting_payments(JSON_ARRAY(v_event_id));
            UPDATE payment_events
            SET
                refund_settled_at = UTC_TIMESTAMP(),
                refund_settled_by = USER()
            WHERE id = v_event_id;
        END IF;
        COMMIT;
    END;
    SELECT id AS event_id, order_id, refund_settled_at, v_settled_at IS NOT NULL AS replayed
    FROM payment_events
    WHERE id = v_event_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
