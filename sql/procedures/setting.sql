-- setting: the value of one row of `settings`.
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
COMMENT 'the value of one row of settings'
RETURN (SELECT value FROM settings WHERE name = in_name)
