-- check_stock: find products whose stock differs from what their holds and orders say.
--
-- One SELECT, so one snapshot: it raises no false alarm in the middle of traffic.
--
-- In      nothing
-- Out     a row a product that differs, none in health: product_id, total_stock, available_stock, held, pending,
--         sold, difference (units that are in no state; negative: sold twice)
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE check_stock()
COMMENT 'find products whose stock differs from what their holds and orders say'
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
