-- pending_orders: the orders that wait for their payment, their callers and customers, and their deadlines.
--
-- FORCE INDEX: see refunds_due.
--
-- Columns order_id, hold_id, product_id, quantity (units), amount, caller, customer_id (text; NULL: not named),
--         payment_started_at (UTC; NULL: not reported), payment_due_at (UTC)
CREATE VIEW pending_orders AS
SELECT
    order_.id AS order_id,
    order_.hold_id,
    order_.product_id,
    order_.quantity,
    order_.amount,
    CONVERT(hold.caller USING utf8mb4) AS caller,
    CONVERT(named.customer_id USING utf8mb4) AS customer_id,
    order_.payment_started_at,
    order_.payment_due_at
FROM orders AS order_ FORCE INDEX (orders_by_deadline)
INNER JOIN holds AS hold ON hold.id = order_.hold_id
LEFT JOIN customer_units AS named ON named.hold_id = order_.hold_id
WHERE order_.status = 'pending'
