-- get_metrics: read the figures of the database for monitoring.
--
-- Figures that would need a scan of a large table are read from `measurements`.
--
-- In      nothing
-- Out     one row like get_health's; then one row: holds_expired, orders_expired (since the first deploy), refunds_due,
--         payments_waiting (now), stock_differences (products, when stock was last checked), stock_checked_at
--         (DATETIME, UTC; NULL: never), payments_to_review (now); then one row for each of the 1,000 newest products:
--         product_id, total_stock, available_stock
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_metrics()
COMMENT 'read the figures of the database for monitoring'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL get_health();
    CALL begin_read(v_is_own);
    SELECT
        holds_expired,
        orders_expired,
        (SELECT COUNT(*) FROM refunds_due) AS refunds_due,
        (SELECT COUNT(*) FROM waiting_payments) AS payments_waiting,
        stock_differences,
        stock_checked_at,
        (SELECT COUNT(*) FROM payments_to_review) AS payments_to_review
    FROM measurements;
    SELECT product_id, total AS total_stock, available AS available_stock
    FROM stock
    ORDER BY product_id DESC
    LIMIT 1000;
    CALL end_read(v_is_own);
END
