-- create_holds: reserve stock for a batch of requests, as if they ran one after another in array order.
--
-- In      in_requests  JSON  array of at most 1,000 {"product_id", "quantity", "idempotency_key", "is_generated_key",
--                            "caller", "customer_id"}; product_id BIGINT; quantity units, 1 to 1,000,000;
--                            idempotency_key 1 to 255 bytes, missing: one is generated;
--                            is_generated_key true: the service generated the key, which is purged sooner;
--                            caller to 64 bytes, missing: '': the owner of hold and key (each caller has its own keys);
--                            customer_id 1 to 64 bytes, the buyer; may be missing where the product has no
--                            maximum per customer
-- Out     one row per request, in order: hold_id, expires_at (DATETIME, UTC), replayed (0|1), errno (NULL: accepted),
--         available_stock (of a product with too few units), sale_starts_at, sale_ends_at (DATETIME, UTC; of a
--         product that is not on sale; NULL: none);
--         then, if a stock changed, one row per product (see get_products)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30002 idempotency_key_reused, 30101 product_not_found,
--         30102 insufficient_stock, 30103 quantity_out_of_range, 30104 sale_not_open,
--         30105 customer_limit_reached, 30106 customer_id_required, 30107 product_archived
-- Locks   idempotency keys ascending, then stock by primary key, ascending; until each round's COMMIT
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     its own, one per round; refused inside another
CREATE PROCEDURE create_holds(IN in_requests JSON)
COMMENT 'reserve stock for a batch of requests, as if they ran one after another in array order'
BEGIN
    DECLARE v_key_prefix VARCHAR(50) DEFAULT generated_key_prefix();
    DECLARE v_verdicts VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_holds(in_requests, v_key_prefix, v_verdicts, v_touched);

    SELECT
        recorded.result_id AS hold_id,
        recorded.result_expires_at AS expires_at,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        IF(
            SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r'),
            NULL, verdict_errno(SUBSTRING(v_verdicts, request.position, 1))
        ) AS errno,
        stock.available AS available_stock,
        product.starts_at AS sale_starts_at,
        product.ends_at AS sale_ends_at
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        product_id BIGINT PATH '$.product_id',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key',
        caller VARCHAR(1024) PATH '$.caller'
    )) AS request
    LEFT JOIN idempotency_keys AS recorded
        ON recorded.operation = 'hold' AND recorded.caller = CAST(COALESCE(request.caller, '') AS BINARY)
        AND recorded.idempotency_key
            = CAST(COALESCE(request.idempotency_key, CONCAT(v_key_prefix, request.position)) AS BINARY)
        AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    LEFT JOIN stock
        ON stock.product_id = request.product_id AND SUBSTRING(v_verdicts, request.position, 1) = 's'
    LEFT JOIN products AS product
        ON product.id = request.product_id AND SUBSTRING(v_verdicts, request.position, 1) = 'n'
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
