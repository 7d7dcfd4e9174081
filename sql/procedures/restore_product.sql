-- restore_product: accept holds of an archived product again and list it.
--
-- In      in_product_id  BIGINT
-- Out     one row: product_id, archived_at (NULL)
-- Errors  30003 transaction_in_progress, 30101 product_not_found
-- Locks   stock by primary key; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE restore_product(IN in_product_id BIGINT)
COMMENT 'accept holds of an archived product again and list it'
BEGIN
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        UPDATE stock SET archived_at = NULL, version = version + 1 WHERE product_id = in_product_id;
        IF ROW_COUNT() = 0 THEN
            CALL raise_error(30101);
        END IF;
        COMMIT;
    END;
    SELECT product_id, archived_at FROM stock WHERE product_id = in_product_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
