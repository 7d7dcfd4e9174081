-- list_products: read a page of the products that are not archived, in the order of their ids.
--
-- In      in_after  BIGINT  the last id seen; 0 for the first page
--         in_limit  BIGINT  rows, 1 to 1,000
-- Out     one row per product: as get_products; fewer rows than in_limit mean the end
-- Errors  30001 invalid_request
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE list_products(IN in_after BIGINT, IN in_limit BIGINT)
COMMENT 'read a page of the products that are not archived, in the order of their ids'
BEGIN
    DECLARE v_is_own BOOLEAN;

    IF COALESCE(in_after < 0 OR in_limit NOT BETWEEN 1 AND 1000, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL begin_read(v_is_own);
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
    FROM stock FORCE INDEX (stock_by_archiving)
    STRAIGHT_JOIN products AS product ON product.id = stock.product_id
    WHERE stock.archived_at IS NULL AND stock.product_id > in_after
    ORDER BY stock.product_id
    LIMIT in_limit;
    CALL end_read(v_is_own);
END
