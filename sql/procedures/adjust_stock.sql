-- adjust_stock: add units to a product's stock, or remove available ones.
--
-- In      in_product_id       BIGINT
--         in_quantity         BIGINT         units, negative to take away; not 0; at most 1,000,000,000,000
--         in_reason           VARCHAR(1024)  1 to 255 characters
--         in_idempotency_key  VARCHAR(1024)  1 to 255 bytes; NULL: one is generated
-- Out     one row: adjustment_id, product_id, total_stock, available_stock (units after the adjustment),
--         replayed (0|1)
-- Errors  30001 invalid_request, 30002 idempotency_key_reused, 30003 transaction_in_progress,
--         30101 product_not_found, 30102 insufficient_stock
-- Locks   its own new adjustment, idempotency key, then stock by primary key; until COMMIT
-- Retry   safe with a key: the same key and arguments return the first answer; with NULL each call adjusts
-- Txn     its own; refused inside another
CREATE PROCEDURE adjust_stock(
    IN in_product_id BIGINT,
    IN in_quantity BIGINT,
    IN in_reason VARCHAR(1024),
    IN in_idempotency_key VARCHAR(1024)
)
COMMENT 'add units to a product''s stock, or remove available ones'
BEGIN
    DECLARE v_key VARBINARY(1024)
        DEFAULT COALESCE(CAST(in_idempotency_key AS BINARY), CONCAT(generated_key_prefix(), 1));
    DECLARE v_fingerprint VARBINARY(255) DEFAULT CONCAT_WS(':', in_product_id, in_quantity, SHA2(in_reason, 256));
    DECLARE v_recorded_fingerprint VARBINARY(255);
    DECLARE v_purge_after DATETIME;
    DECLARE v_adjustment_id BIGINT;
    DECLARE v_total BIGINT;
    DECLARE v_available BIGINT;
    DECLARE v_found BIGINT;

    IF
        COALESCE(in_product_id < 1, TRUE)
        OR COALESCE(in_quantity = 0 OR in_quantity NOT BETWEEN -1000000000000 AND 1000000000000, TRUE)
        OR COALESCE(CHAR_LENGTH(in_reason) NOT BETWEEN 1 AND 255, TRUE)
        OR LENGTH(v_key) NOT BETWEEN 1 AND 255
    THEN
        CALL raise_error(30001);
    END IF;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SET v_purge_after = deadline_after(
            setting(IF(in_idempotency_key IS NULL, 'generated_key_ttl_s', 'client_key_ttl_s'))
        );
        INSERT INTO stock_adjustments (product_id, quantity, reason, account, adjusted_at)
        VALUES (in_product_id, in_quantity, in_reason, USER(), UTC_TIMESTAMP());
        SET v_adjustment_id = LAST_INSERT_ID();

        -- It waits for a session that is using the key, and locks a key that was used before: nobody purges it now.
        INSERT IGNORE INTO idempotency_keys (operation, idempotency_key, fingerprint, result_id, purge_after)
        VALUES ('adjustment', v_key, v_fingerprint, v_adjustment_id, v_purge_after);
        IF ROW_COUNT() = 0 THEN
            SELECT fingerprint, result_id, result_total, result_available
            INTO v_recorded_fingerprint, v_adjustment_id, v_total, v_available
            FROM idempotency_keys
            WHERE operation = 'adjustment' AND caller = '' AND idempotency_key = v_key;
            IF v_recorded_fingerprint <> v_fingerprint THEN
                CALL raise_error(30002);
            END IF;
            ROLLBACK;
        ELSE
            SELECT COUNT(*) INTO v_found FROM products WHERE id = in_product_id;
            IF v_found = 0 THEN
                CALL raise_error(30101);
            END IF;
            UPDATE stock
            SET total = total + in_quantity, available = available + in_quantity, version = version + 1
            WHERE product_id = in_product_id AND available + in_quantity >= 0;
            IF ROW_COUNT() = 0 THEN
                CALL raise_error(30102);
            END IF;
            SELECT total, available INTO v_total, v_available FROM stock WHERE product_id = in_product_id;
            UPDATE idempotency_keys
            SET result_total = v_total, result_available = v_available
            WHERE operation = 'adjustment' AND caller = '' AND idempotency_key = v_key;
            COMMIT;
        END IF;
    END;
    SELECT
        v_adjustment_id AS adjustment_id,
        in_product_id AS product_id,
        v_total AS total_stock,
        v_available AS available_stock,
        v_recorded_fingerprint IS NOT NULL AS replayed;
END
