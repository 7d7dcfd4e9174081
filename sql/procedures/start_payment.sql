-- start_payment: give a pending order payment_started_ttl_s seconds from now, because its buyer is paying.
--
-- start_payments takes another time for each order.
--
-- In      in_order_id  BIGINT
-- Out     one row: order_id, payment_due_at (DATETIME, UTC; never earlier than before),
--         replayed (1: was started before)
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30301 order_not_found, 30302 order_already_paid,
--         30303 order_cancelled
-- Locks   the order; until COMMIT
-- Retry   safe: the first start counts
-- Txn     its own; refused inside another
CREATE PROCEDURE start_payment(IN in_order_id BIGINT)
COMMENT 'give a pending order payment_started_ttl_s seconds from now, because its buyer is paying'
BEGIN
    DECLARE v_verdict VARCHAR(1000);

    CALL decide_payment_starts(JSON_ARRAY(in_order_id), v_verdict);
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;
    SELECT id AS order_id, payment_due_at, v_verdict = 'r' AS replayed FROM orders WHERE id = in_order_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
