-- get_hold: read one hold.
--
-- In      in_hold_id  BIGINT
-- Out     one row: hold_id, product_id, quantity (units), status (active, ordered, expired, released),
--         expires_at (DATETIME, UTC), errno (NULL), order_id (NULL: not ordered, or its order is purged),
--         unit_price (DECIMAL; see get_holds)
-- Errors  30201 hold_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_hold(IN in_hold_id BIGINT)
COMMENT 'read one hold'
BEGIN
    DECLARE v_found BIGINT;
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT COUNT(*) INTO v_found FROM holds WHERE id = in_hold_id;
    IF v_found = 0 THEN
        CALL end_read(v_is_own);
        CALL raise_error(30201);
    END IF;
    CALL get_holds(JSON_ARRAY(in_hold_id));
    CALL end_read(v_is_own);
END
