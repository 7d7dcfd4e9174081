-- generated_key_prefix: generate the beginning of idempotency keys for requests without one.
--
-- Keys are ordered by time, so that new keys are inserted side by side in the primary key of their table.
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
COMMENT 'generate the beginning of idempotency keys for requests without one'
RETURN CONCAT(
    LPAD(HEX(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000), 12, '0'), '-',
    REPLACE(UUID(), '-', ''), '-'
)
