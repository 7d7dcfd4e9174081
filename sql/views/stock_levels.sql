-- stock_levels: the units of each product by state, counted from holds and orders.
--
-- Columns product_id, name, total_stock, available_stock (as in `stock`), held, pending, sold (counted; refunded units
--         are not sold), units; archived_at (UTC; NULL: not archived)
CREATE VIEW stock_levels AS
SELECT
    product.id AS product_id,
    product.name,
    stock.total AS total_stock,
    stock.available AS available_stock,
    COALESCE(held.units, 0) AS held,
    COALESCE(ordered.pending, 0) AS pending,
    COALESCE(ordered.sold, 0) AS sold,
    stock.archived_at
FROM products AS product
INNER JOIN stock ON stock.product_id = product.id
LEFT JOIN (
    SELECT
        product_id,
        SUM(quantity) AS units
    FROM holds
    WHERE status = 'active'
    GROUP BY product_id
) AS held ON held.product_id = product.id
LEFT JOIN (
    SELECT
        line.product_id,
        SUM(IF(order_.status = 'pending', line.quantity, 0)) AS pending,
        SUM(IF(order_.status = 'paid', line.quantity - line.refunded_quantity, 0)) AS sold
    FROM orders AS order_
    INNER JOIN order_lines AS line ON line.order_id = order_.id
    WHERE order_.status IN ('pending', 'paid')
    GROUP BY line.product_id
) AS ordered ON ordered.product_id = product.id
