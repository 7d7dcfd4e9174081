-- get_holds: read holds.
--
-- In      in_hold_ids  JSON  array of at most 1,000 elements: an id, or [id, caller] to find it only
--                            if that caller made it
-- Out     one row per element, in order: hold_id, product_id, quantity (units), status (active, ordered, expired,
--         released; expired from the deadline on), expires_at (DATETIME, UTC), errno (NULL: found),
--         order_id (NULL: not ordered, or its order is purged), unit_price (DECIMAL; the product's price when the
--         hold was made; NULL: it expired or was released under release 0.9)
-- Errors  30001 invalid_request; in errno: 30201 hold_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_holds(IN in_hold_ids JSON)
COMMENT 'read holds'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL require_batch(in_hold_ids);
    CALL begin_read(v_is_own);
    SELECT
        hold.id AS hold_id,
        hold.product_id,
        hold.quantity,
        IF(hold.status = 'active' AND hold.expires_at <= UTC_TIMESTAMP(), 'expired', hold.status) AS status,
        hold.expires_at,
        IF(hold.id IS NULL, 30201, NULL) AS errno,
        line.order_id,
        COALESCE(hold.unit_price, line.unit_price) AS unit_price
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
    LEFT JOIN order_lines AS line ON line.hold_id = hold.id
    ORDER BY request.position;
    CALL end_read(v_is_own);
END
