-- refund_order: refund all units of a paid order that are left; the money moves at the payment provider.
--
-- In      in_order_id         BIGINT
--         in_restock          BIGINT         TRUE: the units become available; FALSE: they leave the total
--         in_idempotency_key  VARCHAR(1024)  1 to 255 bytes; NULL: one is generated
-- Out     one row: refund_id, order_id, amount (DECIMAL), status (refunded), replayed (0|1)
-- Errors  30001 invalid_request, 30002 idempotency_key_reused, 30003 transaction_in_progress, 30301 order_not_found,
--         30304 order_not_paid, 30305 refund_exceeds_order
-- Locks   as refund_orders
-- Retry   safe: the same key and arguments return the first answer
-- Txn     its own; refused inside another
CREATE PROCEDURE refund_order(IN in_order_id BIGINT, IN in_restock BIGINT, IN in_idempotency_key VARCHAR(1024))
COMMENT 'refund all units of a paid order that are left; the money moves at the payment provider'
BEGIN
    DECLARE v_key_prefix VARCHAR(50) DEFAULT generated_key_prefix();
    DECLARE v_verdict VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_refunds(
        JSON_ARRAY(JSON_OBJECT(
            'order_id', in_order_id,
            'restock', CAST(CASE in_restock WHEN 0 THEN 'false' WHEN 1 THEN 'true' END AS JSON),
            'idempotency_key', in_idempotency_key
        )),
        v_key_prefix, v_verdict, v_touched
    );
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;

    SELECT
        refund.id AS refund_id, refund.order_id, refund.amount, recorded.result_status AS status,
        v_verdict = 'r' AS replayed
    FROM idempotency_keys AS recorded
    INNER JOIN refunds AS refund ON refund.id = recorded.result_id
    WHERE
        recorded.operation = 'refund' AND recorded.caller = ''
        AND recorded.idempotency_key = CAST(COALESCE(in_idempotency_key, CONCAT(v_key_prefix, 1)) AS BINARY);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
