-- record_stock_check: store when stock was last checked, and how many products differed.
--
-- In      in_differences  BIGINT  products that check_stock answered, 0 to 1,000,000,000
-- Out     one row: stock_differences, stock_checked_at (DATETIME, UTC)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   measurements; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE record_stock_check(IN in_differences BIGINT)
COMMENT 'store when stock was last checked, and how many products differed'
BEGIN
    IF COALESCE(in_differences NOT BETWEEN 0 AND 1000000000, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        UPDATE measurements
        SET
            stock_differences = in_differences,
            stock_checked_at = UTC_TIMESTAMP()
        WHERE only_row = 1;
        COMMIT;
    END;
    SELECT stock_differences, stock_checked_at FROM measurements;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
