-- write_holds: write the chosen holds of a round and commit, or leave all of them open for the next round.
--
-- A hold keeps the price that its product has now; the plain read of products in INSERT ... SELECT takes no lock.
-- A hint makes MySQL find stock by its primary key: with few products the optimizer would scan the table, and wait
-- for the buyers of other products.
--
-- In      in_requests  JSON          as create_holds
--         in_key_prefix  VARCHAR(50)   generated_key_prefix()
--         in_products  JSON          array of the products of chosen requests
--         in_customers BOOLEAN       whether one of the chosen names its customer
--         in_closes_at DATETIME      when the first sale of chosen requests ends; NULL: none ends
-- InOut   io_verdicts  VARCHAR(1000) chosen (+) become accepted (a), or open (.) where another session was faster
--         io_touched   JSON          in_products is added
-- Errors  none
-- Locks   its own new holds, idempotency keys ascending, then stock by primary key, ascending; until COMMIT
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     ends the caller's
CREATE PROCEDURE write_holds(
    IN in_requests JSON,
    IN in_key_prefix VARCHAR(50),
    IN in_products JSON,
    IN in_customers BOOLEAN,
    IN in_closes_at DATETIME,
    INOUT io_verdicts VARCHAR(1000),
    INOUT io_touched JSON
)
COMMENT 'write the chosen holds of a round and commit, or leave all of them open for the next round'
write_round: BEGIN
    DECLARE v_now DATETIME DEFAULT deadline_after(0);
    DECLARE v_expires_at DATETIME;
    DECLARE v_client_purge_after DATETIME;
    DECLARE v_service_purge_after DATETIME;
    DECLARE v_first_hold_id BIGINT;
    DECLARE v_has_conflict BOOLEAN;

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

    SELECT
        v_now + INTERVAL hold_ttl.value SECOND,
        v_now + INTERVAL client_key_ttl.value SECOND,
        v_now + INTERVAL generated_key_ttl.value SECOND
    INTO v_expires_at, v_client_purge_after, v_service_purge_after
    FROM settings AS hold_ttl
    CROSS JOIN settings AS client_key_ttl
    CROSS JOIN settings AS generated_key_ttl
    WHERE
        hold_ttl.name = 'hold_ttl_s' AND client_key_ttl.name = 'client_key_ttl_s'
        AND generated_key_ttl.name = 'generated_key_ttl_s';

    INSERT INTO holds (product_id, quantity, unit_price, expires_at, caller, inserted_by, position)
    SELECT
        request.product_id, request.quantity, product.price, v_expires_at,
        CAST(COALESCE(request.caller, '') AS BINARY), CONNECTION_ID(), request.position
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, caller VARCHAR(1024) PATH '$.caller',
        product_id BIGINT PATH '$.product_id', quantity BIGINT PATH '$.quantity'
    )) AS request
    STRAIGHT_JOIN products AS product ON product.id = request.product_id
    WHERE SUBSTRING(io_verdicts, request.position, 1) = '+';
    SET v_first_hold_id = LAST_INSERT_ID();

    INSERT INTO idempotency_keys
        (operation, caller, idempotency_key, fingerprint, result_id, result_expires_at, purge_after)
    SELECT
        'hold',
        CAST(COALESCE(request.caller, '') AS BINARY) AS caller_bytes,
        CAST(COALESCE(request.idempotency_key, CONCAT(in_key_prefix, request.position)) AS BINARY) AS key_bytes,
        CONCAT_WS(':', hold.product_id, hold.quantity, request.customer_id), hold.id, hold.expires_at,
        IF(request.is_generated_key = 1 OR request.idempotency_key IS NULL, v_service_purge_after, v_client_purge_after)
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, is_generated_key INT PATH '$.is_generated_key',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key',
        caller VARCHAR(1024) PATH '$.caller', customer_id VARCHAR(64) PATH '$.customer_id'
    )) AS request
    STRAIGHT_JOIN holds AS hold
        ON hold.position = request.position AND hold.id >= v_first_hold_id
        AND hold.inserted_by = CONNECTION_ID()
    ORDER BY caller_bytes, key_bytes;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) INDEX(stock PRIMARY) */ (
        SELECT request.product_id, SUM(request.quantity) AS quantity
        FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY, product_id BIGINT PATH '$.product_id', quantity BIGINT PATH '$.quantity'
        )) AS request
        WHERE SUBSTRING(io_verdicts, request.position, 1) = '+'
        GROUP BY request.product_id
        ORDER BY request.product_id
        LIMIT 1000
    ) AS taken
    STRAIGHT_JOIN stock
        ON stock.product_id = taken.product_id AND stock.available >= taken.quantity AND stock.archived_at IS NULL
    SET stock.available = stock.available - taken.quantity, stock.version = stock.version + 1;

    -- Fewer rows: since the units were counted, another session took some, so one product has too few, or archived one.
    SET v_has_conflict = ROW_COUNT() < JSON_LENGTH(in_products) OR COALESCE(in_closes_at <= UTC_TIMESTAMP(), FALSE);
    IF in_customers AND NOT v_has_conflict THEN
        CALL write_customer_units(in_requests, v_first_hold_id, v_has_conflict);
    END IF;
    IF v_has_conflict THEN
        ROLLBACK;
        SET io_verdicts = REPLACE(io_verdicts, '+', '.');
    ELSE
        COMMIT;
        SET io_verdicts = REPLACE(io_verdicts, '+', 'a'), io_touched = JSON_MERGE_PRESERVE(io_touched, in_products);
    END IF;
END
