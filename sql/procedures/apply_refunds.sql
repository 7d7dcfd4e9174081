-- apply_refunds: take the units of new refunds off their orders and customers, and restock them or write them off.
--
-- In      in_refund_ids  JSON  array of refunds that this transaction inserted
-- InOut   io_touched     JSON  their products are added
-- Errors  none
-- Locks   the lines of the orders, customer units, then stock by primary key, ascending; until the caller's COMMIT; the
--         orders are locked already
-- Retry   no: it adds stock
-- Txn     the caller's
CREATE PROCEDURE apply_refunds(IN in_refund_ids JSON, INOUT io_touched JSON)
COMMENT 'take the units of new refunds off their orders and customers, and restock them or write them off'
BEGIN
    -- An UPDATE of several tables writes a row once, even if it finds the row more often: add up the refunds of a line.
    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ (
        SELECT refunded.hold_id, SUM(refunded.quantity) AS quantity
        FROM JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
        STRAIGHT_JOIN refund_lines AS refunded ON refunded.refund_id = new_.refund_id
        GROUP BY refunded.hold_id
    ) AS returned
    STRAIGHT_JOIN order_lines AS line ON line.hold_id = returned.hold_id
    SET line.refunded_quantity = line.refunded_quantity + returned.quantity;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
    JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
    STRAIGHT_JOIN refunds AS refund ON refund.id = new_.refund_id
    STRAIGHT_JOIN orders AS order_ ON order_.id = refund.order_id
    SET order_.status = 'refunded'
    WHERE
        NOT EXISTS (
            SELECT 1 FROM order_lines AS line
            WHERE line.order_id = refund.order_id AND line.refunded_quantity < line.quantity
        );

    INSERT /*+ SET_VAR(group_concat_max_len = 65536) */ INTO events
        (type, order_id, hold_ids, caller, occurred_at, amount, refund_id, status)
    SELECT
        'order.refunded', refund.order_id,
        (
            SELECT CONCAT('[', GROUP_CONCAT(line.hold_id ORDER BY line.hold_id), ']')
            FROM order_lines AS line
            WHERE line.order_id = refund.order_id
        ),
        order_.caller, UTC_TIMESTAMP(), refund.amount, refund.id,
        -- Of several refunds of the order, the last one ended it.
        IF(refund.id < MAX(refund.id) OVER (PARTITION BY refund.order_id), 'paid', order_.status)
    FROM JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
    STRAIGHT_JOIN refunds AS refund ON refund.id = new_.refund_id
    STRAIGHT_JOIN orders AS order_ ON order_.id = refund.order_id
    ORDER BY refund.id;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
    JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
    STRAIGHT_JOIN refund_lines AS refunded ON refunded.refund_id = new_.refund_id
    STRAIGHT_JOIN order_lines AS line ON line.hold_id = refunded.hold_id
    STRAIGHT_JOIN customer_units AS customer ON customer.hold_id = refunded.hold_id
    SET customer.quantity = line.quantity - line.refunded_quantity;

    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ customer
    FROM JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
    STRAIGHT_JOIN refund_lines AS refunded ON refunded.refund_id = new_.refund_id
    STRAIGHT_JOIN customer_units AS customer ON customer.hold_id = refunded.hold_id
    WHERE customer.quantity = 0;

    INSERT INTO stock_adjustments (product_id, quantity, reason, account, adjusted_at)
    SELECT
        line.product_id, -SUM(refunded.quantity), CONCAT('refund ', refund.id, ' without restock'), refund.account,
        refund.refunded_at
    FROM JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
    STRAIGHT_JOIN refunds AS refund ON refund.id = new_.refund_id
    STRAIGHT_JOIN refund_lines AS refunded ON refunded.refund_id = refund.id
    STRAIGHT_JOIN order_lines AS line ON line.hold_id = refunded.hold_id
    WHERE NOT refund.is_restocked
    GROUP BY refund.id, line.product_id
    ORDER BY refund.id, line.product_id;

    SELECT JSON_MERGE_PRESERVE(io_touched, JSON_ARRAYAGG(line.product_id)) INTO io_touched
    FROM JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
    STRAIGHT_JOIN refund_lines AS refunded ON refunded.refund_id = new_.refund_id
    STRAIGHT_JOIN order_lines AS line ON line.hold_id = refunded.hold_id;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) INDEX(stock PRIMARY) */ (
        SELECT
            line.product_id,
            SUM(IF(refund.is_restocked, refunded.quantity, 0)) AS restocked,
            SUM(IF(refund.is_restocked, 0, refunded.quantity)) AS written_off
        FROM JSON_TABLE(in_refund_ids, '$[*]' COLUMNS (refund_id BIGINT PATH '$')) AS new_
        STRAIGHT_JOIN refunds AS refund ON refund.id = new_.refund_id
        STRAIGHT_JOIN refund_lines AS refunded ON refunded.refund_id = refund.id
        STRAIGHT_JOIN order_lines AS line ON line.hold_id = refunded.hold_id
        GROUP BY line.product_id
        ORDER BY line.product_id
        LIMIT 100000
    ) AS returned
    STRAIGHT_JOIN stock ON stock.product_id = returned.product_id
    SET
        stock.available = stock.available + returned.restocked,
        stock.total = stock.total - returned.written_off,
        stock.version = stock.version + 1;
END
