-- read_touched: read the products whose stock a batch changed, for the cache.
--
-- In      in_product_ids  JSON  array of ids, some of them perhaps more than once
-- Out     one row per product, as get_products; no result at all where there is no product
-- Errors  none
-- Locks   none
-- Retry   safe: a read
-- Txn     the caller's
CREATE PROCEDURE read_touched(IN in_product_ids JSON)
COMMENT 'read the products whose stock a batch changed, for the cache'
BEGIN
    IF JSON_LENGTH(in_product_ids) > 0 THEN
        SELECT
            product.id,
            product.name,
            product.price,
            stock.available AS available_stock,
            stock.version,
            NULL AS errno,
            product.starts_at AS sale_starts_at,
            product.ends_at AS sale_ends_at,
            product.maximum_per_customer
        FROM (
            SELECT DISTINCT id
            FROM JSON_TABLE(in_product_ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS element
        ) AS touched
        STRAIGHT_JOIN products AS product ON product.id = touched.id
        STRAIGHT_JOIN stock ON stock.product_id = touched.id;
    END IF;
END
