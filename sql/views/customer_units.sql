-- customer_units: the units that count towards a product's maximum per customer: active holds, pending and paid orders.
--
-- Columns customer_id, product_id, hold_id, quantity (units)
CREATE VIEW customer_units AS
SELECT
    named.customer_id,
    named.product_id,
    named.hold_id,
    hold.quantity
FROM customer_holds AS named
INNER JOIN holds AS hold ON hold.id = named.hold_id
LEFT JOIN orders AS order_ ON order_.hold_id = named.hold_id
WHERE
    (hold.status = 'active' AND hold.expires_at > UTC_TIMESTAMP())
    OR order_.status IN ('pending', 'paid')
