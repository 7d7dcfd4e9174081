-- record_stock_check: remember when stock was last checked, and how many products differed.
--
-- In      in_differences  BIGINT  products that check_stock answered, 0 or more
-- Out     nothing
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   measurements; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE record_stock_check(IN in_differences BIGINT)
COMMENT 'remember when stock was last checked, and how many products differed'
BEGIN
    IF COALESCE(in_differences < 0, TRUE) THEN
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
END
