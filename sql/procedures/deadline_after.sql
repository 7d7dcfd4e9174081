-- deadline_after: return the first whole second, UTC, that is at least in_ttl_s seconds from now.
--
-- In      in_ttl_s  BIGINT  seconds
-- Out     DATETIME, UTC; a row with this deadline is expired from that second on
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION deadline_after(in_ttl_s BIGINT)
RETURNS DATETIME
NOT DETERMINISTIC
NO SQL
COMMENT 'return the first whole second, UTC, that is at least in_ttl_s seconds from now'
RETURN UTC_TIMESTAMP() + INTERVAL (in_ttl_s + (MICROSECOND(UTC_TIMESTAMP(6)) > 0)) SECOND
