-- apply_payment: record one payment event and apply it to its order, if the order exists.
--
-- apply_payments takes the payment's id and amount as well.
--
-- In      in_idempotency_key  VARCHAR(1024)  the event's key, 1 to 255 bytes
--         in_order_id         BIGINT
--         in_status           VARCHAR(64)    a word of payment_statuses
-- Out     one row: order_id, status (of the order; NULL: it does not exist), outcome (applied, ignored, refund_due,
--         waiting, orphaned), replayed (0|1)
-- Errors  30001 invalid_request, 30002 idempotency_key_reused, 30003 transaction_in_progress
-- Locks   as apply_payments
-- Retry   safe: a redelivered event returns its current outcome
-- Txn     its own, one; two where the order does not exist yet, because the event is recorded before it is applied;
--         refused inside another
CREATE PROCEDURE apply_payment(
    IN in_idempotency_key VARCHAR(1024), IN in_order_id BIGINT, IN in_status VARCHAR(64)
)
COMMENT 'record one payment event and apply it to its order, if the order exists'
BEGIN
    DECLARE v_verdict VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_payments(
        JSON_ARRAY(JSON_OBJECT(
            'idempotency_key', in_idempotency_key, 'order_id', in_order_id, 'status', in_status
        )),
        v_verdict, v_touched
    );
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;

    SELECT
        recorded.order_id,
        order_.status,
        current_outcome(recorded.outcome, recorded.received_at) AS outcome,
        v_verdict = 'r' AS replayed
    FROM payment_events AS recorded
    LEFT JOIN orders AS order_ ON order_.id = recorded.order_id
    WHERE recorded.idempotency_key = CAST(in_idempotency_key AS BINARY);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
