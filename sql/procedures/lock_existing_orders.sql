-- lock_existing_orders: lock those of the given orders that exist.
--
-- The caller may settle only out_locked_ids: an order that appears after this statement is not locked.
--
-- In      in_order_ids    JSON  array of at most 2,000 distinct ids
-- Out     out_locked_ids  JSON  array of those that exist
-- Errors  none
-- Locks   orders by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE lock_existing_orders(IN in_order_ids JSON, OUT out_locked_ids JSON)
COMMENT 'lock those of the given orders that exist'
BEGIN
    SELECT COALESCE(JSON_ARRAYAGG(order_.id), JSON_ARRAY()) INTO out_locked_ids
    FROM (
        SELECT order_id FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS element
        ORDER BY order_id LIMIT 2000
    ) AS wanted
    STRAIGHT_JOIN orders AS order_ ON order_.id = wanted.order_id
    FOR UPDATE OF order_;
END
