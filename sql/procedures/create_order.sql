-- create_order: turn a hold into an order that waits payment_ttl_s seconds for its payment.
--
-- In      in_hold_id          BIGINT
--         in_idempotency_key  VARCHAR(1024)  1 to 255 bytes; NULL: one is generated
-- Out     one row: order_id, hold_id, status (pending, unless a waiting payment decided it), replayed (0|1)
-- Errors  30001 invalid_request, 30002 idempotency_key_reused, 30003 transaction_in_progress,
--         30201 hold_not_found, 30202 hold_expired, 30203 hold_already_used, 30204 hold_released
-- Locks   as create_orders
-- Retry   safe: the same key and arguments return the first answer
-- Txn     its own; refused inside another
CREATE PROCEDURE create_order(IN in_hold_id BIGINT, IN in_idempotency_key VARCHAR(1024))
COMMENT 'turn a hold into an order that waits payment_ttl_s seconds for its payment'
BEGIN
    DECLARE v_key_prefix VARCHAR(50) DEFAULT generated_key_prefix();
    DECLARE v_verdict VARCHAR(1000);
    DECLARE v_refusing JSON;
    DECLARE v_touched JSON;

    CALL decide_new_orders(
        JSON_ARRAY(JSON_OBJECT('hold_id', in_hold_id, 'idempotency_key', in_idempotency_key)),
        v_key_prefix, v_verdict, v_refusing, v_touched
    );
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;

    SELECT result_id AS order_id, in_hold_id AS hold_id, result_status AS status, v_verdict = 'r' AS replayed
    FROM idempotency_keys
    WHERE
        operation = 'order' AND caller = ''
        AND idempotency_key = CAST(COALESCE(in_idempotency_key, CONCAT(v_key_prefix, 1)) AS BINARY);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
