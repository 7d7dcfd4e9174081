-- write_new_orders: write the chosen orders of a round and commit, or leave all of them open for the next round.
--
-- In      in_requests  JSON          as create_orders
--         in_key_prefix  VARCHAR(50)   generated_key_prefix()
--         in_fingerprints  JSON        hold_set_fingerprints()
-- InOut   io_verdicts  VARCHAR(1000) chosen (+) become accepted (a), or open (.) where another session was faster
--         io_touched   JSON          products whose stock a waiting payment returned are added
-- Errors  none
-- Locks   holds ascending, its own new orders, waiting payment events, stock, idempotency keys ascending; until COMMIT
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     ends the caller's
CREATE PROCEDURE write_new_orders(
    IN in_requests JSON,
    IN in_key_prefix VARCHAR(50),
    IN in_fingerprints JSON,
    INOUT io_verdicts VARCHAR(1000),
    INOUT io_touched JSON
)
COMMENT 'write the chosen orders of a round and commit, or leave all of them open for the next round'
write_round: BEGIN
    DECLARE v_now DATETIME DEFAULT deadline_after(0);
    DECLARE v_payment_due_at DATETIME;
    DECLARE v_client_purge_after DATETIME;
    DECLARE v_service_purge_after DATETIME;
    DECLARE v_holds JSON;
    DECLARE v_order_ids JSON;

    -- Another session has used one of the keys since they were evaluated.
    DECLARE EXIT HANDLER FOR 1062
    BEGIN
        ROLLBACK;
        SET io_verdicts = REPLACE(io_verdicts, '+', '.');
    END;

    IF LOCATE('+', io_verdicts) = 0 THEN
        COMMIT;
        LEAVE write_round;
    END IF;

    SELECT JSON_ARRAYAGG(COALESCE(chosen.listed_id, chosen.hold_id)) INTO v_holds
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, hold_id BIGINT PATH '$.hold_id',
        NESTED PATH '$.hold_ids[*]' COLUMNS (listed_id BIGINT PATH '$')
    )) AS chosen
    WHERE SUBSTRING(io_verdicts, chosen.position, 1) = '+';

    CALL lock_active_holds(v_holds);
    IF v_holds IS NULL THEN
        ROLLBACK;
        SET io_verdicts = REPLACE(io_verdicts, '+', '.');
        LEAVE write_round;
    END IF;

    SELECT
        v_now + INTERVAL payment_ttl.value SECOND,
        v_now + INTERVAL client_key_ttl.value SECOND,
        v_now + INTERVAL generated_key_ttl.value SECOND
    INTO v_payment_due_at, v_client_purge_after, v_service_purge_after
    FROM settings AS payment_ttl
    CROSS JOIN settings AS client_key_ttl
    CROSS JOIN settings AS generated_key_ttl
    WHERE
        payment_ttl.name = 'payment_ttl_s'
        AND client_key_ttl.name = 'client_key_ttl_s'
        AND generated_key_ttl.name = 'generated_key_ttl_s';

    CALL insert_orders(in_requests, io_verdicts, v_payment_due_at, v_order_ids);

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
    JSON_TABLE(v_holds, '$[*]' COLUMNS (hold_id BIGINT PATH '$')) AS chosen
    STRAIGHT_JOIN holds AS hold ON hold.id = chosen.hold_id
    SET hold.status = 'ordered';

    -- Keys are written last, because a waiting payment may have changed the status that they record.
    CALL settle_new_orders(v_order_ids, io_touched);
    INSERT INTO idempotency_keys
        (operation, caller, idempotency_key, fingerprint, result_id, result_status, is_list, purge_after)
    SELECT
        'order',
        CAST(COALESCE(request.caller, '') AS BINARY) AS caller_bytes,
        CAST(COALESCE(request.idempotency_key, CONCAT(in_key_prefix, request.position)) AS BINARY) AS key_bytes,
        COALESCE(CAST(request.hold_id AS CHAR), JSON_UNQUOTE(
            JSON_EXTRACT(in_fingerprints, CONCAT('$."', request.position, '"'))
        )),
        order_.id,
        order_.status,
        IF(request.hold_id IS NULL, TRUE, NULL),
        IF(request.is_generated_key = 1 OR request.idempotency_key IS NULL, v_service_purge_after, v_client_purge_after)
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        hold_id BIGINT PATH '$.hold_id', first_hold_id BIGINT PATH '$.hold_ids[0]',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key',
        is_generated_key INT PATH '$.is_generated_key',
        caller VARCHAR(1024) PATH '$.caller'
    )) AS request
    STRAIGHT_JOIN orders AS order_
        ON order_.hold_id = COALESCE(request.hold_id, request.first_hold_id)
    WHERE SUBSTRING(io_verdicts, request.position, 1) = '+'
    ORDER BY caller_bytes, key_bytes;

    COMMIT;
    SET io_verdicts = REPLACE(io_verdicts, '+', 'a');
END
