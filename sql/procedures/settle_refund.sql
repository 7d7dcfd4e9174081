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
    DECLARE v_is_due BOOLEAN;
    DECLARE v_settled_at DATETIME;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT
            id,
            outcome = 'refund_due'
            OR (current_outcome(outcome, received_at) = 'orphaned' AND status = 'success'),
            refund_settled_at
        INTO v_event_id, v_is_due, v_settled_at
        FROM payment_events
        WHERE idempotency_key = CAST(in_idempotency_key AS BINARY)
        FOR UPDATE;
        IF v_event_id IS NULL THEN
            CALL raise_error(30401);
        ELSEIF NOT v_is_due THEN
            CALL raise_error(30402);
        END IF;

        UPDATE payment_events
        SET
            outcome = current_outcome(outcome, received_at),
            refund_settled_at = UTC_TIMESTAMP(),
            refund_settled_by = USER()
        WHERE id = v_event_id AND refund_settled_at IS NULL;
        COMMIT;
    END;
    SELECT id AS event_id, order_id, refund_settled_at, v_settled_at IS NOT NULL AS replayed
    FROM payment_events
    WHERE id = v_event_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
