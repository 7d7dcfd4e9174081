-- change_setting: change one setting; existing deadlines do not move.
--
-- In      in_name   VARCHAR(1024)  a name in `settings`
--         in_value  BIGINT         within that row's minimum and maximum
-- Out     one row: name, value, minimum, maximum, description
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   the setting; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE change_setting(IN in_name VARCHAR(1024), IN in_value BIGINT)
COMMENT 'change one setting; existing deadlines do not move'
BEGIN
    DECLARE v_fitting BIGINT;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT COUNT(*) INTO v_fitting
        FROM settings
        WHERE name = in_name AND in_value BETWEEN minimum AND maximum
        FOR UPDATE;
        IF v_fitting = 0 THEN
            CALL raise_error(30001);
        END IF;
        UPDATE settings SET value = in_value WHERE name = in_name;
        COMMIT;
    END;
    SELECT name, value, minimum, maximum, description FROM settings WHERE name = in_name;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
