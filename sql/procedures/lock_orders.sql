-- lock_orders: lock the orders of a batch, and find out which of them are pending.
--
-- In      in_order_ids  JSON           as cancel_orders
--         in_cancelled  CHAR(1)        the verdict of a cancelled order
-- Out     out_verdicts  VARCHAR(1000)  one letter per element (see verdict_errno): a refusal; chosen (+) at the first
--                                      mention of a pending order; replay (r) at its further ones
-- Errors  none
-- Locks   orders by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE lock_orders(IN in_order_ids JSON, IN in_cancelled CHAR(1), OUT out_verdicts VARCHAR(1000))
COMMENT 'lock the orders of a batch, and find out which of them are pending'
BEGIN
    DECLARE v_locked_ids JSON;

    SELECT COALESCE(JSON_ARRAYAGG(order_.id), JSON_ARRAY()) INTO v_locked_ids
    FROM (
        SELECT order_id FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$[0]')) AS element
        ORDER BY order_id LIMIT 1000
    ) AS wanted
    STRAIGHT_JOIN orders AS order_ ON order_.id = wanted.order_id
    FOR UPDATE OF order_;

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        COALESCE(GROUP_CONCAT(evaluated.verdict ORDER BY evaluated.position SEPARATOR ''), '')
    INTO out_verdicts
    FROM (
        SELECT
            request.position,
            CASE
                WHEN COALESCE(
                    JSON_TYPE(request.order_type) NOT IN ('INTEGER', 'UNSIGNED INTEGER') OR request.order_id < 1
                    OR (JSON_TYPE(request.element) = 'ARRAY' AND request.caller IS NULL),
                    TRUE
                ) THEN 'i' -- invalid_request
                WHEN order_.id IS NULL THEN 'o' -- order_not_found
                WHEN order_.status IN ('paid', 'refunded') THEN 'b' -- order_already_paid
                WHEN order_.status = 'cancelled' THEN in_cancelled
                WHEN ROW_NUMBER() OVER (PARTITION BY order_.id ORDER BY request.position) > 1 THEN 'r' -- replay
                ELSE '+'
            END AS verdict
        FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            element JSON PATH '$',
            order_id BIGINT PATH '$[0]',
            order_type JSON PATH '$[0]',
            caller VARCHAR(1024) PATH '$[1]'
        )) AS request
        LEFT JOIN orders AS order_
            ON order_.id = request.order_id
            -- A row that appeared after the locking statement is not locked, so it is not decided.
            AND order_.id MEMBER OF (v_locked_ids)
            AND COALESCE(request.caller, '') IN ('', order_.caller)
    ) AS evaluated;
END
