-- pending_orders: the orders that wait for their payment, their callers and customers, and their deadlines.
--
-- One row per line. FORCE INDEX: see refunds_due.
--
-- Columns order_id, hold_id, product_id, quantity (units), amount (of the line), caller,
--         customer_id (text; NULL: not named), payment_started_at (UTC; NULL: not reported), payment_due_at (UTC)
CREATE VIEW pending_orders AS
SELECT
    order_.id AS order_id,
    line.hold_id,
    line.product_id,
    line.quantity,
    line.quantity * line.unit_price AS amount,
    CONVERT(order_.caller USING utf8mb4) AS caller,
    CONVERT(order_.customer_id USING utf8mb4) AS customer_id,
    order_.payment_started_at,
    order_.payment_due_at
FROM orders AS order_ FORCE INDEX (orders_by_deadline)
INNER JOIN order_lines AS line ON line.order_id = order_.id
WHERE order_.status = 'pending'
