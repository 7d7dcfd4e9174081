-- write_refunds: write the chosen refunds of a round and commit, or leave all of them open for the next round.
--
-- A round has at most one refund per order, so a new refund is found again by its order.
--
-- In      in_requests    JSON           as refund_orders
--         in_key_prefix  VARCHAR(50)    generated_key_prefix()
-- InOut   io_verdicts    VARCHAR(1000)  chosen (+) become accepted (a), or open (.) where another session was faster
--         io_touched     JSON           products whose stock changed are added
-- Errors  none
-- Locks   its own new refunds, then as apply_refunds, then idempotency keys ascending; until COMMIT; the orders are
--         locked already
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     ends the caller's
CREATE PROCEDURE write_refunds(
    IN in_requests JSON,
    IN in_key_prefix VARCHAR(50),
    INOUT io_verdicts VARCHAR(1000),
    INOUT io_touched JSON
)
COMMENT 'write the chosen refunds of a round and commit, or leave all of them open for the next round'
write_round: BEGIN
    DECLARE v_client_purge_after DATETIME;
    DECLARE v_service_purge_after DATETIME;
    DECLARE v_first_refund_id BIGINT;
    DECLARE v_refund_ids JSON;

    -- Another session has used one of the keys, for another order, since they were evaluated.
    DECLARE EXIT HANDLER FOR 1062
    BEGIN
        ROLLBACK;
        SET io_verdicts = REPLACE(io_verdicts, '+', '.');
    END;

    IF LOCATE('+', io_verdicts) = 0 THEN
        COMMIT;
        LEAVE write_round;
    END IF;

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
    WHERE SUBSTRING(io_verdicts, request.position, 1) = '+'
    GROUP BY request.position
    ORDER BY request.position;
    SET v_first_refund_id = LAST_INSERT_ID();

    INSERT INTO refund_lines (refund_id, hold_id, quantity)
    SELECT refund.id, line.hold_id, COALESCE(request.quantity, line.quantity - line.refunded_quantity)
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$.order_id',
        NESTED PATH '$.lines[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id', quantity BIGINT PATH '$.quantity')
    )) AS request
    STRAIGHT_JOIN refunds AS refund ON refund.order_id = request.order_id AND refund.id >= v_first_refund_id
    STRAIGHT_JOIN order_lines AS line
        ON line.order_id = request.order_id AND line.hold_id = COALESCE(request.hold_id, line.hold_id)
    WHERE SUBSTRING(io_verdicts, request.position, 1) = '+' AND line.refunded_quantity < line.quantity;

    SELECT JSON_ARRAYAGG(refund.id) INTO v_refund_ids
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$.order_id'
    )) AS request
    STRAIGHT_JOIN refunds AS refund ON refund.order_id = request.order_id AND refund.id >= v_first_refund_id
    WHERE SUBSTRING(io_verdicts, request.position, 1) = '+';
    CALL apply_refunds(v_refund_ids, io_touched);

    -- Keys are written last, because they record the status that the order has now.
    SET
        v_client_purge_after = deadline_after(setting('client_key_ttl_s')),
        v_service_purge_after = deadline_after(setting('generated_key_ttl_s'));
    INSERT INTO idempotency_keys
        (operation, caller, idempotency_key, fingerprint, result_id, result_status, purge_after)
    SELECT
        'refund', refund.caller, refund.idempotency_key,
        refund_fingerprint(request.order_id, request.restock, request.listed),
        refund.id, order_.status,
        IF(request.is_generated_key = 1 OR request.idempotency_key IS NULL, v_service_purge_after, v_client_purge_after)
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$.order_id',
        restock JSON PATH '$.restock', listed JSON PATH '$.lines',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key', is_generated_key INT PATH '$.is_generated_key'
    )) AS request
    STRAIGHT_JOIN refunds AS refund ON refund.order_id = request.order_id AND refund.id >= v_first_refund_id
    STRAIGHT_JOIN orders AS order_ ON order_.id = refund.order_id
    WHERE SUBSTRING(io_verdicts, request.position, 1) = '+'
    ORDER BY refund.caller, refund.idempotency_key;

    COMMIT;
    SET io_verdicts = REPLACE(io_verdicts, '+', 'a');
END
