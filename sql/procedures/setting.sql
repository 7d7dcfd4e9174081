-- setting: return the value of a setting.
--
-- In      in_name  VARCHAR(64)
-- Out     BIGINT, in the unit that the name ends with
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE FUNCTION setting(in_name VARCHAR(64))
RETURNS BIGINT
READS SQL DATA
COMMENT 'return the value of a setting'
BEGIN
    DECLARE v_value BIGINT;

    -- SELECT ... INTO takes no lock; a subquery in RETURN, SET, IF or DEFAULT would lock the row until COMMIT.
    SELECT value INTO v_value FROM settings WHERE name = in_name;
    RETURN v_value;
END
