-- archive_product: refuse new holds of a product and leave it out of lists; existing holds and orders go on.
--
-- In      in_product_id  BIGINT
-- Out     one row: product_id, archived_at (DATETIME, UTC; of the first call)
-- Errors  30003 transaction_in_progress, 30101 product_not_found
-- Locks   stock by primary key; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE archive_product(IN in_product_id BIGINT)
COMMENT 'refuse new holds of a product and leave it out of lists; existing holds and orders go on'
BEGIN
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        UPDATE stock
        SET archived_at = COALESCE(archived_at, UTC_TIMESTAMP()), version = version + 1
        WHERE product_id = in_product_id;
        IF ROW_COUNT() = 0 THEN
            CALL raise_error(30101);
        END IF;
        COMMIT;
    END;
    SELECT product_id, archived_at FROM stock WHERE product_id = in_product_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
