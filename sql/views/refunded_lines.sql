-- refunded_lines: what was refunded of orders, when, by whom and under which key.
--
-- One row per refund and line of its order.
--
-- Columns refund_id, refunded_at (UTC), order_id, hold_id, product_id, quantity (units), amount (of these units),
--         is_restocked (0|1), account, caller (text), idempotency_key (text)
CREATE VIEW refunded_lines AS
SELECT
    refund.id AS refund_id,
    refund.refunded_at,
    refund.order_id,
    refunded.hold_id,
    line.product_id,
    refunded.quantity,
    refunded.quantity * line.unit_price AS amount,
    refund.is_restocked,
    refund.account,
    CONVERT(refund.caller USING utf8mb4) AS caller,
    CONVERT(refund.idempotency_key USING utf8mb4) AS idempotency_key
FROM refunds AS refund
INNER JOIN refund_lines AS refunded ON refunded.refund_id = refund.id
INNER JOIN order_lines AS line ON line.order_id = refund.order_id AND line.hold_id = refunded.hold_id
