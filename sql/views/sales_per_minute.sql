-- sales_per_minute: the sales of each minute, by the time at which their orders were paid; refunds do not reduce them.
--
-- Columns minute (UTC), product_id, orders, quantity (units), amount
CREATE VIEW sales_per_minute AS
SELECT
    CAST(DATE_FORMAT(order_.paid_at, '%Y-%m-%d %H:%i:00') AS DATETIME) AS minute,
    line.product_id,
    COUNT(DISTINCT order_.id) AS orders,
    SUM(line.quantity) AS quantity,
    SUM(line.quantity * line.unit_price) AS amount
FROM orders AS order_
INNER JOIN order_lines AS line ON line.order_id = order_.id
WHERE order_.paid_at IS NOT NULL
GROUP BY minute, line.product_id
