-- check_stock: find products whose stock differs from their holds and orders.
--
-- It reads in one SELECT, so in one snapshot: it reports no false difference in the middle of traffic.
--
-- In      nothing
-- Out     one row per product that differs, none normally: product_id, total_stock, available_stock, held, pending,
--         sold, difference (units that are in no state; negative: sold twice)
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE check_stock()
COMMENT 'find products whose stock differs from their holds and orders'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT
        product_id,
        total_stock,
        available_stock,
        held,
        pending,
        sold,
        total_stock - available_stock - held - pending - sold AS difference
    FROM stock_levels
    WHERE total_stock <> available_stock + held + pending + sold;
    CALL end_read(v_is_own);
END
