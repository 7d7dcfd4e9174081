-- sales_per_minute: the sales of each minute, by the arrival of the payment.
--
-- Columns minute (UTC), product_id, orders, quantity (units), amount
CREATE VIEW sales_per_minute AS
SELECT
    CAST(DATE_FORMAT(event_.received_at, '%Y-%m-%d %H:%i:00') AS DATETIME) AS minute,
    order_.product_id,
    COUNT(*) AS orders,
    SUM(order_.quantity) AS quantity,
    SUM(order_.amount) AS amount
FROM payment_events AS event_
INNER JOIN orders AS order_ ON order_.id = event_.order_id
WHERE event_.outcome = 'applied' AND event_.status = 'success'
GROUP BY minute, order_.product_id
