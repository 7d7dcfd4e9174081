-- change_archiving: archive a product, or restore it.
--
-- In      in_product_id   BIGINT
--         in_is_archived  BOOLEAN
-- Out     one row: product_id, archived_at (DATETIME, UTC; NULL: it is not archived)
-- Errors  30003 transaction_in_progress, 30101 product_not_found
-- Locks   stock by primary key; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE change_archiving(IN in_product_id BIGINT, IN in_is_archived BOOLEAN)
COMMENT 'archive a product, or restore it'
BEGIN
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        UPDATE stock
        SET archived_at = IF(in_is_archived, COALESCE(archived_at, UTC_TIMESTAMP()), NULL), version = version + 1
        WHERE product_id = in_product_id;
        IF ROW_COUNT() = 0 THEN
            CALL raise_error(30101);
        END IF;
        COMMIT;
    END;
    SELECT product_id, archived_at FROM stock WHERE product_id = in_product_id;

    COMMIT; -- the transaction that the SELECT above may have opened, see begin_transaction
END
