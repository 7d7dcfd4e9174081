-- get_orders: read orders.
--
-- In      in_order_ids  JSON  array of at most 1,000 elements: an id, or [id, caller] to find it only
--                             if that caller made it
-- Out     one row per element, in order: order_id, hold_id, product_id, quantity (units; NULL, as the two before,
--         with several lines), amount (DECIMAL), status (pending, paid, cancelled, refunded),
--         payment_due_at (DATETIME, UTC), errno (NULL: found), lines (JSON array by hold_id of {"hold_id",
--         "product_id", "quantity", "unit_price" (a string), "refunded_quantity"})
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
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        ANY_VALUE(order_.id) AS order_id,
        IF(COUNT(line.hold_id) = 1, MIN(line.hold_id), NULL) AS hold_id,
        IF(COUNT(line.hold_id) = 1, MIN(line.product_id), NULL) AS product_id,
        IF(COUNT(line.hold_id) = 1, MIN(line.quantity), NULL) AS quantity,
        ANY_VALUE(order_.amount) AS amount,
        ANY_VALUE(order_.status) AS status,
        ANY_VALUE(order_.payment_due_at) AS payment_due_at,
        IF(ANY_VALUE(order_.id) IS NULL, 30301, NULL) AS errno,
        CONCAT('[', GROUP_CONCAT(
            IF(line.hold_id IS NULL, NULL, JSON_OBJECT(
                'hold_id', line.hold_id,
                'product_id', line.product_id,
                'quantity', line.quantity,
                'unit_price', CAST(line.unit_price AS CHAR),
                'refunded_quantity', line.refunded_quantity
            ))
            ORDER BY line.hold_id
        ), ']') AS `lines`
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
        AND COALESCE(request.caller, '') IN ('', order_.caller)
    LEFT JOIN order_lines AS line ON line.order_id = order_.id
    GROUP BY request.position
    ORDER BY request.position;
    CALL end_read(v_is_own);
END
