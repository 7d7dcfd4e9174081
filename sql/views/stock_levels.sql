-- stock_levels: the units of each product by state, counted from holds and orders.
--
-- Columns product_id, name, total_stock, available_stock (as `stock` has them), held, pending, sold (counted), units
CREATE VIEW stock_levels AS
SELECT
    product.id AS product_id,
    product.name,
    stock.total AS total_stock,
    stock.available AS available_stock,
    COALESCE(held.units, 0) AS held,
    COALESCE(ordered.pending, 0) AS pending,
    COALESCE(ordered.sold, 0) AS sold
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
        product_id,
        SUM(IF(status = 'pending', quantity, 0)) AS pending,
        SUM(IF(status = 'paid', quantity, 0)) AS sold
    FROM orders
    WHERE status IN ('pending', 'paid')
    GROUP BY product_id
) AS ordered ON ordered.product_id = product.id
