-- get_order: read one order.
--
-- In      in_order_id  BIGINT
-- Out     one row: order_id, hold_id, product_id, quantity (units; NULL, as the two before, with several lines),
--         amount (DECIMAL), status (pending, paid, cancelled, refunded), payment_due_at (DATETIME, UTC), errno (NULL),
--         lines (JSON array; see get_orders)
-- Errors  30301 order_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_order(IN in_order_id BIGINT)
COMMENT 'read one order'
BEGIN
    DECLARE v_found BIGINT;
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT COUNT(*) INTO v_found FROM orders WHERE id = in_order_id;
    IF v_found = 0 THEN
        CALL end_read(v_is_own);
        CALL raise_error(30301);
    END IF;
    CALL get_orders(JSON_ARRAY(in_order_id));
    CALL end_read(v_is_own);
END
