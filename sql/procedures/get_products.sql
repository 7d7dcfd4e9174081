-- get_products: read products and their stock.
--
-- In      in_product_ids  JSON  array of at most 1,000 ids
-- Out     one row per element, in order: id, name, price (DECIMAL), available_stock (units),
--         version (goes up with every change), errno (NULL: found), sale_starts_at, sale_ends_at (DATETIME, UTC;
--         NULL: none), maximum_per_customer (units; NULL: none)
-- Errors  30001 invalid_request; in errno: 30101 product_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_products(IN in_product_ids JSON)
COMMENT 'read products and their stock'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL require_batch(in_product_ids);
    CALL begin_read(v_is_own);
    SELECT
        product.id,
        product.name,
        product.price,
        stock.available AS available_stock,
        stock.version,
        IF(product.id IS NULL, 30101, NULL) AS errno,
        product.starts_at AS sale_starts_at,
        product.ends_at AS sale_ends_at,
        product.maximum_per_customer
    FROM JSON_TABLE(in_product_ids, '$[*]' COLUMNS (
        position FOR ORDINALITY, product_id BIGINT PATH '$', product_type JSON PATH '$'
    )) AS request
    LEFT JOIN products AS product
        ON product.id = request.product_id
        AND JSON_TYPE(request.product_type) IN ('INTEGER', 'UNSIGNED INTEGER')
    LEFT JOIN stock ON stock.product_id = product.id
    ORDER BY request.position;
    CALL end_read(v_is_own);
END
