-- create_hold: reserve units of one product for hold_ttl_s seconds.
--
-- In      in_product_id       BIGINT
--         in_quantity         BIGINT         units, 1 to the product's maximum
--         in_idempotency_key  VARCHAR(1024)  1 to 255 bytes; NULL: one is generated
-- Out     one row: hold_id, expires_at (DATETIME, UTC), replayed (0|1)
-- Errors  30001 invalid_request, 30002 idempotency_key_reused, 30003 transaction_in_progress,
--         30101 product_not_found, 30102 insufficient_stock, 30103 quantity_out_of_range, 30104 sale_not_open,
--         30106 customer_id_required (create_holds takes one), 30107 product_archived
-- Locks   idempotency key, then stock by primary key; until COMMIT
-- Retry   safe: the same key and arguments return the first answer
-- Txn     its own; refused inside another
CREATE PROCEDURE create_hold(
    IN in_product_id BIGINT, IN in_quantity BIGINT, IN in_idempotency_key VARCHAR(1024)
)
COMMENT 'reserve units of one product for hold_ttl_s seconds'
BEGIN
    DECLARE v_key_prefix VARCHAR(50) DEFAULT generated_key_prefix();
    DECLARE v_verdict VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_holds(
        JSON_ARRAY(JSON_OBJECT(
            'product_id', in_product_id, 'quantity', in_quantity, 'idempotency_key', in_idempotency_key
        )),
        v_key_prefix, v_verdict, v_touched
    );
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;

    SELECT result_id AS hold_id, result_expires_at AS expires_at, v_verdict = 'r' AS replayed
    FROM idempotency_keys
    WHERE
        operation = 'hold' AND caller = ''
        AND idempotency_key = CAST(COALESCE(in_idempotency_key, CONCAT(v_key_prefix, 1)) AS BINARY);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
