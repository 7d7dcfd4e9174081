-- return_stock: give units back to their products, each product's row once and in order.
--
-- In      in_returned  JSON  array of {"product_id", "quantity"}, a product any number of times
-- Out     nothing
-- Errors  none
-- Locks   stock by primary key, ascending; until the caller's COMMIT
-- Retry   no: it adds
-- Txn     the caller's
CREATE PROCEDURE return_stock(IN in_returned JSON)
COMMENT 'give units back to their products, each product''s row once and in order'
BEGIN
    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ (
        SELECT product_id, SUM(quantity) AS quantity
        FROM JSON_TABLE(in_returned, '$[*]' COLUMNS (
            product_id BIGINT PATH '$.product_id',
            quantity BIGINT PATH '$.quantity'
        )) AS row_
        GROUP BY product_id
        ORDER BY product_id
        LIMIT 100000
    ) AS returned
    STRAIGHT_JOIN stock ON stock.product_id = returned.product_id
    SET stock.available = stock.available + returned.quantity, stock.version = stock.version + 1;
END
