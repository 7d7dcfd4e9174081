-- owns: whether a caller may see and use what belongs to in_owner.
--
-- In      in_caller  VARCHAR(1024)   who asks; NULL or '': a DBA, or a service that does not tell callers apart
--         in_owner   VARBINARY(64)   the caller that made the hold
-- Out     BOOLEAN
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION owns(in_caller VARCHAR(1024), in_owner VARBINARY(64))
RETURNS BOOLEAN
DETERMINISTIC
NO SQL
COMMENT 'whether a caller may see and use what belongs to in_owner'
RETURN COALESCE(in_caller, '') = '' OR CAST(in_caller AS BINARY) = in_owner
