-- create_product: put a product on sale with its stock.
--
-- In      in_name   VARCHAR(1024)   1 to 255 characters
--         in_price  DECIMAL(30, 10) two decimals, 0 to 9,999,999,999.99
--         in_stock  BIGINT          units, 0 to 1,000,000,000,000
-- Out     one row: product_id
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   its own new rows
-- Retry   no: each call makes a product
-- Txn     its own; refused inside another
CREATE PROCEDURE create_product(IN in_name VARCHAR(1024), IN in_price DECIMAL(30, 10), IN in_stock BIGINT)
COMMENT 'put a product on sale with its stock'
BEGIN
    DECLARE v_product_id BIGINT;

    IF
        COALESCE(CHAR_LENGTH(in_name) NOT BETWEEN 1 AND 255, TRUE)
        OR COALESCE(in_price NOT BETWEEN 0 AND 9999999999.99 OR in_price <> ROUND(in_price, 2), TRUE)
        OR COALESCE(in_stock NOT BETWEEN 0 AND 1000000000000, TRUE)
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

        INSERT INTO products (name, price) VALUES (in_name, in_price);
        SET v_product_id = LAST_INSERT_ID();
        INSERT INTO stock (product_id, total, available) VALUES (v_product_id, in_stock, in_stock);
        INSERT INTO stock_adjustments (product_id, quantity, reason, account, adjusted_at)
        VALUES (v_product_id, in_stock, 'initial stock', USER(), UTC_TIMESTAMP());
        COMMIT;
    END;
    SELECT v_product_id AS product_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
