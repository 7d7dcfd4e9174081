-- return_stock: return units to the stock of their products, and subtract them from their customers' units.
--
-- It writes the row of each product once, in ascending order, and finds it by primary key, as write_holds does.
--
-- In      in_returned  JSON  array of {"hold_id", "product_id", "quantity"}, a product any number of times; without
--                            hold_id the units of customers stay as they are
-- Out     nothing
-- Errors  none
-- Locks   customer units of these holds, whose hold or order the caller has locked, then stock by primary key,
--         ascending; until the caller's COMMIT
-- Retry   no: it adds
-- Txn     the caller's
CREATE PROCEDURE return_stock(IN in_returned JSON)
COMMENT 'return units to the stock of their products, and subtract them from their customers'' units'
BEGIN
    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ customer
    FROM JSON_TABLE(in_returned, '$[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id')) AS returned
    STRAIGHT_JOIN customer_units AS customer ON customer.hold_id = returned.hold_id;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) INDEX(stock PRIMARY) */ (
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
