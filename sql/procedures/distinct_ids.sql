-- distinct_ids: an array of ids without repetitions.
--
-- In      in_ids  JSON  array of ids
-- Out     JSON    array of each of them once
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION distinct_ids(in_ids JSON)
RETURNS JSON
DETERMINISTIC
READS SQL DATA
COMMENT 'an array of ids without repetitions'
RETURN COALESCE(
    (
        SELECT JSON_ARRAYAGG(once.id)
        FROM (
            SELECT DISTINCT id FROM JSON_TABLE(in_ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS element
        ) AS once
    ),
    JSON_ARRAY()
)
