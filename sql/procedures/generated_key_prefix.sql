-- generated_key_prefix: the beginning of idempotency keys for requests that brought none.
--
-- Time-ordered, so that keys made one after another lie side by side in the table's primary key.
--
-- In      nothing
-- Out     VARCHAR(50): 12 hexadecimal digits of Unix time in milliseconds, 28 of a UUID, a hyphen in between
--         and one at the end; the request's position is to follow
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION generated_key_prefix()
RETURNS VARCHAR(50)
NOT DETERMINISTIC
NO SQL
COMMENT 'the beginning of idempotency keys for requests that brought none'
RETURN CONCAT(
    LPAD(HEX(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000), 12, '0'), '-',
    REPLACE(UUID(), '-', ''), '-'
)
