-- insert_refunds: insert the chosen refunds of a batch, in array order, with one line per line of their orders.
--
-- A new refund is found again by its order, which no other session can refund meanwhile, and its key.
--
-- In      in_requests          JSON           as refund_orders
--         in_key_prefix        VARCHAR(50)    generated_key_prefix()
--         in_verdicts          VARCHAR(1000)  chosen (+) ones are inserted, of which there is at least one
-- Out     out_first_refund_id  BIGINT         the lowest of the new ids
--         out_refund_ids       JSON           array of the new ids
-- Errors  none
-- Locks   its own new refunds and their lines; the caller has locked the orders
-- Retry   no
-- Txn     the caller's
CREATE PROCEDURE insert_refunds(
    IN in_requests JSON,
    IN in_key_prefix VARCHAR(50),
    IN in_verdicts VARCHAR(1000),
    OUT out_first_refund_id BIGINT,
    OUT out_refund_ids JSON
)
COMMENT 'insert the chosen refunds of a batch, in array order, with one line per line of their orders'
BEGIN
    INSERT INTO refunds (order_id, amount, is_restocked, caller, idempotency_key, account, refunded_at)
    SELECT
        ANY_VALUE(request.order_id),
        SUM(COALESCE(request.quantity, line.quantity - line.refunded_quantity) * line.unit_price),
        ANY_VALUE(request.restock),
        ANY_VALUE(CAST(COALESCE(request.caller, '') AS BINARY)),
        ANY_VALUE(CAST(COALESCE(request.idempotency_key, CONCAT(in_key_prefix, request.position)) AS BINARY)),
        USER(),
        UTC_TIMESTAMP()
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$.order_id', restock INT PATH '$.restock',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key', caller VARCHAR(1024) PATH '$.caller',
        NESTED PATH '$.lines[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id', quantity BIGINT PATH '$.quantity')
    )) AS request
    STRAIGHT_JOIN order_lines AS line
        ON line.order_id = request.order_id AND line.hold_id = COALESCE(request.hold_id, line.hold_id)
    WHERE SUBSTRING(in_verdicts, request.position, 1) = '+'
    GROUP BY request.position
    ORDER BY request.position;
    SET out_first_refund_id = LAST_INSERT_ID();

    INSERT INTO refund_lines (refund_id, hold_id, quantity)
    SELECT refund.id, line.hold_id, COALESCE(request.quantity, line.quantity - line.refunded_quantity)
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$.order_id',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key', caller VARCHAR(1024) PATH '$.caller',
        NESTED PATH '$.lines[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id', quantity BIGINT PATH '$.quantity')
    )) AS request
    STRAIGHT_JOIN refunds AS refund
        ON refund.order_id = request.order_id AND refund.id >= out_first_refund_id
        AND refund.caller = CAST(COALESCE(request.caller, '') AS BINARY)
        AND refund.idempotency_key
        = CAST(COALESCE(request.idempotency_key, CONCAT(in_key_prefix, request.position)) AS BINARY)
    STRAIGHT_JOIN order_lines AS line
        ON line.order_id = request.order_id AND line.hold_id = COALESCE(request.hold_id, line.hold_id)
    WHERE SUBSTRING(in_verdicts, request.position, 1) = '+' AND line.refunded_quantity < line.quantity;

    SELECT JSON_ARRAYAGG(new_.id) INTO out_refund_ids
    FROM (
        SELECT DISTINCT refund.id
        FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY, order_id BIGINT PATH '$.order_id'
        )) AS request
        STRAIGHT_JOIN refunds AS refund ON refund.order_id = request.order_id AND refund.id >= out_first_refund_id
        WHERE SUBSTRING(in_verdicts, request.position, 1) = '+'
    ) AS new_;
END
