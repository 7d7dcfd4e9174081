-- find_orders: find the orders that holds became.
--
-- In      in_hold_ids  JSON  as get_holds
-- Out     a row an element, in order: order_id, errno (NULL: found)
-- Errors  30001 invalid_request; in errno: 30301 order_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE find_orders(IN in_hold_ids JSON)
COMMENT 'find the orders that holds became'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL require_batch(in_hold_ids);
    CALL begin_read(v_is_own);
    SELECT
        order_.id AS order_id,
        IF(order_.id IS NULL, 30301, NULL) AS errno
    FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        element JSON PATH '$',
        hold_id BIGINT PATH '$[0]',
        hold_type JSON PATH '$[0]',
        caller VARCHAR(1024) PATH '$[1]'
    )) AS request
    LEFT JOIN holds AS hold
        ON hold.id = request.hold_id
        AND JSON_TYPE(request.hold_type) IN ('INTEGER', 'UNSIGNED INTEGER')
        AND (JSON_TYPE(request.element) <> 'ARRAY' OR request.caller IS NOT NULL)
        AND COALESCE(request.caller, '') IN ('', hold.caller)
    LEFT JOIN orders AS order_ ON order_.hold_id = hold.id
    ORDER BY request.position;
    CALL end_read(v_is_own);
END
