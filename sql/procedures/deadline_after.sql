-- deadline_after: the whole second, UTC, at or after now + in_ttl_s.
--
-- In      in_ttl_s  BIGINT  seconds
-- Out     DATETIME, UTC; what carries it is expired from that second on
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION deadline_after(in_ttl_s BIGINT)
RETURNS DATETIME
NOT DETERMINISTIC
NO SQL
COMMENT 'the whole second, UTC, at or after now + in_ttl_s'
RETURN UTC_TIMESTAMP() + INTERVAL (in_ttl_s + (MICROSECOND(UTC_TIMESTAMP(6)) > 0)) SECOND
