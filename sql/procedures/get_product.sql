-- get_product: read one product and its stock.
--
-- In      in_product_id  BIGINT
-- Out     one row: id, name, price (DECIMAL), available_stock (units), version (goes up with every change),
--         sale_starts_at, sale_ends_at (DATETIME, UTC; NULL: none), maximum_per_customer (units; NULL: none)
-- Errors  30101 product_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_product(IN in_product_id BIGINT)
COMMENT 'read one product and its stock'
BEGIN
    DECLARE v_found BIGINT;
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT COUNT(*) INTO v_found FROM products WHERE id = in_product_id;
    IF v_found = 0 THEN
        CALL end_read(v_is_own);
        CALL raise_error(30101);
    END IF;
    SELECT
        product.id,
        product.name,
        product.price,
        stock.available AS available_stock,
        stock.version,
        product.starts_at AS sale_starts_at,
        product.ends_at AS sale_ends_at,
        product.maximum_per_customer
    FROM products AS product
    INNER JOIN stock ON stock.product_id = product.id
    WHERE product.id = in_product_id;
    CALL end_read(v_is_own);
END
