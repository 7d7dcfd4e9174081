-- get_payment: read one payment event.
--
-- In      in_idempotency_key  VARCHAR(1024)  the event's key
-- Out     one row: event_id, order_id, status (success, failure), outcome (waiting, applied, ignored, refund_due,
--         orphaned), received_at (DATETIME(6), UTC), refund_settled_at (DATETIME, UTC, or NULL)
-- Errors  30401 payment_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_payment(IN in_idempotency_key VARCHAR(1024))
COMMENT 'read one payment event'
BEGIN
    DECLARE v_key VARBINARY(4096) DEFAULT CAST(in_idempotency_key AS BINARY);
    DECLARE v_found BIGINT;
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT COUNT(*) INTO v_found FROM payment_events WHERE idempotency_key = v_key;
    IF v_found = 0 THEN
        CALL end_read(v_is_own);
        CALL raise_error(30401);
    END IF;
    SELECT
        id AS event_id,
        order_id,
        status,
        current_outcome(outcome, received_at) AS outcome,
        received_at,
        refund_settled_at
    FROM payment_events
    WHERE idempotency_key = v_key;
    CALL end_read(v_is_own);
END
