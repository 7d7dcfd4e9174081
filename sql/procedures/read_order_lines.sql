-- read_order_lines: read the lines of orders that the caller has locked, in the form that return_stock takes.
--
-- In      in_order_ids  JSON  array of distinct ids, or NULL
-- Out     out_lines     JSON  array of {"order_id", "hold_id", "product_id", "quantity"}, or NULL
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE read_order_lines(IN in_order_ids JSON, OUT out_lines JSON)
COMMENT 'read the lines of orders that the caller has locked, in the form that return_stock takes'
BEGIN
    SELECT
        JSON_ARRAYAGG(JSON_OBJECT(
            'order_id', line.order_id,
            'hold_id', line.hold_id,
            'product_id', line.product_id,
            'quantity', line.quantity
        ))
    INTO out_lines
    FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS wanted
    STRAIGHT_JOIN order_lines AS line ON line.order_id = wanted.order_id;
END
