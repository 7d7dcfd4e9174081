-- adjust_stock: add units to a product's stock, or remove available ones.
--
-- In      in_product_id  BIGINT
--         in_quantity    BIGINT         units, negative to take away; not 0; at most 1,000,000,000,000
--         in_reason      VARCHAR(1024)  1 to 255 characters
-- Out     one row: adjustment_id, product_id, total_stock, available_stock (units)
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30101 product_not_found, 30102 insufficient_stock
-- Locks   stock by primary key; until COMMIT
-- Retry   no: it adds
-- Txn     its own; refused inside another
CREATE PROCEDURE adjust_stock(IN in_product_id BIGINT, IN in_quantity BIGINT, IN in_reason VARCHAR(1024))
COMMENT 'add units to a product''s stock, or remove available ones'
BEGIN
    DECLARE v_adjustment_id BIGINT;
    DECLARE v_found BIGINT;

    IF
        COALESCE(in_product_id < 1, TRUE)
        OR COALESCE(in_quantity = 0 OR in_quantity NOT BETWEEN -1000000000000 AND 1000000000000, TRUE)
        OR COALESCE(CHAR_LENGTH(in_reason) NOT BETWEEN 1 AND 255, TRUE)
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

        SELECT COUNT(*) INTO v_found FROM products WHERE id = in_product_id;
        IF v_found = 0 THEN
            CALL raise_error(30101);
        END IF;
        INSERT INTO stock_adjustments (product_id, quantity, reason, account, adjusted_at)
        VALUES (in_product_id, in_quantity, in_reason, USER(), UTC_TIMESTAMP());
        SET v_adjustment_id = LAST_INSERT_ID();
        UPDATE stock
        SET total = total + in_quantity, available = available + in_quantity, version = version + 1
        WHERE product_id = in_product_id AND available + in_quantity >= 0;
        IF ROW_COUNT() = 0 THEN
            CALL raise_error(30102);
        END IF;
        COMMIT;
    END;
    SELECT v_adjustment_id AS adjustment_id, product_id, total AS total_stock, available AS available_stock
    FROM stock
    WHERE product_id = in_product_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
