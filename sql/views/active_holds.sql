-- active_holds: the active holds, their callers and customers, and their deadlines.
--
-- FORCE INDEX: see refunds_due.
--
-- Columns hold_id, product_id, quantity (units), caller, customer_id (text; NULL: not named), expires_at (UTC),
--         is_extended (0|1)
CREATE VIEW active_holds AS
SELECT
    hold.id AS hold_id,
    hold.product_id,
    hold.quantity,
    CONVERT(hold.caller USING utf8mb4) AS caller,
    CONVERT(named.customer_id USING utf8mb4) AS customer_id,
    hold.expires_at,
    hold.is_extended
FROM holds AS hold FORCE INDEX (holds_by_deadline)
LEFT JOIN customer_units AS named ON named.hold_id = hold.id
WHERE hold.status = 'active' AND hold.expires_at > UTC_TIMESTAMP()
