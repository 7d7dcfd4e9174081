-- change_product: change a product's name, price and maximum per hold.
--
-- In      in_product_id        BIGINT
--         in_name              VARCHAR(1024)    1 to 255 characters
--         in_price             DECIMAL(30, 10)  two decimals, 0 to 9,999,999,999.99; holds and orders keep theirs
--         in_maximum_per_hold  BIGINT           units, 1 to 1,000,000; NULL: no maximum
-- Out     one row: as get_product
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30101 product_not_found
-- Locks   the product, then its stock; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE change_product(
    IN in_product_id BIGINT,
    IN in_name VARCHAR(1024),
    IN in_price DECIMAL(30, 10),
    IN in_maximum_per_hold BIGINT
)
COMMENT 'change a product''s name, price and maximum per hold'
BEGIN
    IF
        COALESCE(in_product_id < 1, TRUE)
        OR COALESCE(CHAR_LENGTH(in_name) NOT BETWEEN 1 AND 255, TRUE)
        OR COALESCE(in_price NOT BETWEEN 0 AND 9999999999.99 OR in_price <> ROUND(in_price, 2), TRUE)
        OR COALESCE(in_maximum_per_hold NOT BETWEEN 1 AND 1000000, FALSE)
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

        UPDATE products
        SET name = in_name, price = in_price, maximum_per_hold = in_maximum_per_hold
        WHERE id = in_product_id;
        -- The version tells caches that the product has changed.
        UPDATE stock SET version = version + 1 WHERE product_id = in_product_id;
        COMMIT;
    END;
    CALL get_product(in_product_id);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
