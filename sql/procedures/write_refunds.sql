-- write_refunds: write the chosen refunds of a round and commit, or leave all of them open for the next round.
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

    CALL insert_refunds(in_requests, in_key_prefix, io_verdicts, v_first_refund_id, v_refund_ids);
    CALL apply_refunds(v_refund_ids, io_touched);

    -- Keys are written last, because they record the status that the order has now: the last refund of all ended it.
    SET
        v_client_purge_after = deadline_after(setting('client_key_ttl_s')),
        v_service_purge_after = deadline_after(setting('generated_key_ttl_s'));
    INSERT INTO idempotency_keys
        (operation, caller, idempotency_key, fingerprint, result_id, result_status, purge_after)
    SELECT
        'refund', refund.caller, refund.idempotency_key,
        refund_fingerprint(request.order_id, request.restock, request.listed),
        refund.id,
        IF(refund.id < MAX(refund.id) OVER (PARTITION BY refund.order_id), 'paid', order_.status),
        IF(request.is_generated_key = 1 OR request.idempotency_key IS NULL, v_service_purge_after, v_client_purge_after)
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$.order_id',
        restock JSON PATH '$.restock', listed JSON PATH '$.lines',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key', is_generated_key INT PATH '$.is_generated_key',
        caller VARCHAR(1024) PATH '$.caller'
    )) AS request
    STRAIGHT_JOIN refunds AS refund
        ON refund.order_id = request.order_id AND refund.id >= v_first_refund_id
        AND refund.caller = CAST(COALESCE(request.caller, '') AS BINARY)
        AND refund.idempotency_key
        = CAST(COALESCE(request.idempotency_key, CONCAT(in_key_prefix, request.position)) AS BINARY)
    STRAIGHT_JOIN orders AS order_ ON order_.id = refund.order_id
    WHERE SUBSTRING(io_verdicts, request.position, 1) = '+'
    ORDER BY refund.caller, refund.idempotency_key;

    COMMIT;
    SET io_verdicts = REPLACE(io_verdicts, '+', 'a');
END
