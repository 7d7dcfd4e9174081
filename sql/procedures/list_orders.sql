-- list_orders: read a page of the orders of one caller, of one customer, or of both, in the order of their ids.
--
-- Each kind of page reads one index from in_after on and stops at in_limit rows. A page of both reads the customer's
-- orders and passes over those that other callers made.
--
-- In      in_caller       VARCHAR(1024)  the orders that this caller made, to 64 bytes; empty: of all callers
--         in_customer_id  VARCHAR(1024)  the orders of this customer, 1 to 64 bytes; NULL: of all customers
--         in_after        BIGINT         the last id seen; 0 for the first page
--         in_limit        BIGINT         rows, 1 to 1,000
-- Out     one row per order: as get_order; fewer rows than in_limit mean the end
-- Errors  30001 invalid_request
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE list_orders(
    IN in_caller VARCHAR(1024), IN in_customer_id VARCHAR(1024), IN in_after BIGINT, IN in_limit BIGINT
)
COMMENT 'read a page of the orders of one caller, of one customer, or of both, in the order of their ids'
BEGIN
    DECLARE v_caller VARBINARY(4096) DEFAULT CAST(in_caller AS BINARY);
    DECLARE v_customer_id VARBINARY(4096) DEFAULT CAST(in_customer_id AS BINARY);
    DECLARE v_is_own BOOLEAN;

    IF
        COALESCE(in_after < 0 OR in_limit NOT BETWEEN 1 AND 1000 OR LENGTH(v_caller) > 64, TRUE)
        OR LENGTH(v_customer_id) NOT BETWEEN 1 AND 64
    THEN
        CALL raise_error(30001);
    END IF;
    CALL begin_read(v_is_own);
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        order_.id AS order_id,
        IF(COUNT(*) = 1, MIN(line.hold_id), NULL) AS hold_id,
        IF(COUNT(*) = 1, MIN(line.product_id), NULL) AS product_id,
        IF(COUNT(*) = 1, MIN(line.quantity), NULL) AS quantity,
        order_.amount,
        order_.status,
        order_.payment_due_at,
        NULL AS errno,
        CONCAT('[', GROUP_CONCAT(
            JSON_OBJECT(
                'hold_id', line.hold_id,
                'product_id', line.product_id,
                'quantity', line.quantity,
                'unit_price', CAST(line.unit_price AS CHAR),
                'refunded_quantity', line.refunded_quantity
            )
            ORDER BY line.hold_id
        ), ']') AS `lines`
    FROM (
        -- The three conditions exclude each other, and an excluded part reads nothing.
        (
            SELECT /*+ INDEX(of_all PRIMARY) */ of_all.id
            FROM orders AS of_all
            WHERE v_caller = '' AND v_customer_id IS NULL AND of_all.id > in_after
            ORDER BY of_all.id
            LIMIT in_limit
        )
        UNION ALL
        (
            SELECT /*+ INDEX(of_caller orders_by_caller) */ of_caller.id
            FROM orders AS of_caller
            WHERE v_caller <> '' AND v_customer_id IS NULL AND of_caller.caller = v_caller AND of_caller.id > in_after
            ORDER BY of_caller.id
            LIMIT in_limit
        )
        UNION ALL
        (
            SELECT /*+ INDEX(of_customer orders_by_customer) */ of_customer.id
            FROM orders AS of_customer
            WHERE of_customer.customer_id = v_customer_id AND v_caller IN ('', of_customer.caller)
            AND of_customer.id > in_after
            ORDER BY of_customer.id
            LIMIT in_limit
        )
    ) AS page
    INNER JOIN orders AS order_ ON order_.id = page.id
    INNER JOIN order_lines AS line ON line.order_id = order_.id
    GROUP BY order_.id
    ORDER BY order_.id;
    CALL end_read(v_is_own);
END
