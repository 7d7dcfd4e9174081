-- insert_orders: insert the chosen orders of a batch, in array order, with one line per hold, and their events.
--
-- An order that costs nothing is paid at once. INSERT ... SELECT reserves ids in powers of two: ids grow in array order
-- and may leave gaps within a batch, but an order that is created alone gets the next id. A new order is found again by
-- its first hold.
--
-- In      in_requests        JSON           as create_orders
--         in_verdicts        VARCHAR(1000)  chosen (+) ones are inserted
--         in_payment_due_at  DATETIME       UTC
-- Out     out_order_ids      JSON           array of the new ids
-- Errors  none
-- Locks   its own new orders and events; the caller has locked their holds
-- Retry   no
-- Txn     the caller's
CREATE PROCEDURE insert_orders(
    IN in_requests JSON, IN in_verdicts VARCHAR(1000), IN in_payment_due_at DATETIME, OUT out_order_ids JSON
)
COMMENT 'insert the chosen orders of a batch, in array order, with one line per hold, and their events'
BEGIN
    DECLARE v_paid_ids JSON;

    INSERT INTO orders
        (hold_id, product_id, quantity, amount, status, payment_due_at, caller, customer_id, paid_at)
    SELECT
        ANY_VALUE(COALESCE(request.hold_id, request.first_hold_id)),
        IF(COUNT(*) = 1, MIN(hold.product_id), NULL),
        IF(COUNT(*) = 1, MIN(hold.quantity), NULL),
        SUM(hold.quantity * hold.unit_price),
        IF(SUM(hold.quantity * hold.unit_price) > 0, 'pending', 'paid'),
        in_payment_due_at,
        MIN(hold.caller),
        MIN(customer.customer_id),
        IF(SUM(hold.quantity * hold.unit_price) > 0, NULL, UTC_TIMESTAMP())
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, hold_id BIGINT PATH '$.hold_id', first_hold_id BIGINT PATH '$.hold_ids[0]',
        NESTED PATH '$.hold_ids[*]' COLUMNS (listed_id BIGINT PATH '$')
    )) AS request
    STRAIGHT_JOIN holds AS hold ON hold.id = COALESCE(request.listed_id, request.hold_id)
    LEFT JOIN customer_units AS customer ON customer.hold_id = hold.id
    WHERE SUBSTRING(in_verdicts, request.position, 1) = '+'
    GROUP BY request.position
    ORDER BY request.position;

    INSERT INTO order_lines (order_id, hold_id, product_id, quantity, unit_price)
    SELECT order_.id AS order_id, hold.id AS hold_id, hold.product_id, hold.quantity, hold.unit_price
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, hold_id BIGINT PATH '$.hold_id', first_hold_id BIGINT PATH '$.hold_ids[0]',
        NESTED PATH '$.hold_ids[*]' COLUMNS (listed_id BIGINT PATH '$')
    )) AS request
    STRAIGHT_JOIN orders AS order_ ON order_.hold_id = COALESCE(request.hold_id, request.first_hold_id)
    STRAIGHT_JOIN holds AS hold ON hold.id = COALESCE(request.listed_id, request.hold_id)
    WHERE SUBSTRING(in_verdicts, request.position, 1) = '+';

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        JSON_ARRAYAGG(order_.id),
        CONCAT('[', COALESCE(GROUP_CONCAT(IF(order_.status = 'paid', order_.id, NULL)), ''), ']')
    INTO out_order_ids, v_paid_ids
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, hold_id BIGINT PATH '$.hold_id', first_hold_id BIGINT PATH '$.hold_ids[0]'
    )) AS request
    STRAIGHT_JOIN orders AS order_ ON order_.hold_id = COALESCE(request.hold_id, request.first_hold_id)
    WHERE SUBSTRING(in_verdicts, request.position, 1) = '+';

    CALL insert_order_events(out_order_ids, 'order.created', NULL);
    IF v_paid_ids <> '[]' THEN
        CALL insert_order_events(v_paid_ids, 'order.paid', NULL);
    END IF;
END
