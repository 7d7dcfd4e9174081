-- get_orders: read orders.
--
-- In      in_order_ids  JSON  array of at most 1,000 elements: an id, or [id, caller] to find it only
--                             if that caller made it
-- Out     one row per element, in order: order_id, hold_id, product_id, quantity (units), amount (DECIMAL),
--         status (pending, paid, cancelled), payment_due_at (DATETIME, UTC), errno (NULL: found)
-- Errors  30001 invalid_request; in errno: 30301 order_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_orders(IN in_order_ids JSON)
COMMENT 'read orders'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL require_batch(in_order_ids);
    CALL begin_read(v_is_own);
    SELECT
        order_.id AS order_id,
        order_.hold_id,
        order_.product_id,
        order_.quantity,
        order_.amount,
        order_.status,
        order_.payment_due_at,
        IF(order_.id IS NULL, 30301, NULL) AS errno
    FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        element JSON PATH '$',
        order_id BIGINT PATH '$[0]',
        order_type JSON PATH '$[0]',
        caller VARCHAR(1024) PATH '$[1]'
    )) AS request
    LEFT JOIN orders AS order_
        ON order_.id = request.order_id
        AND JSON_TYPE(request.order_type) IN ('INTEGER', 'UNSIGNED INTEGER')
        AND (JSON_TYPE(request.element) <> 'ARRAY' OR request.caller IS NOT NULL)
        AND COALESCE(request.caller, '') IN ('', (SELECT hold.caller FROM holds AS hold WHERE hold.id = order_.hold_id))
    ORDER BY request.position;
    CALL end_read(v_is_own);
END
