-- insert_order_events: write an event of one type for each of some orders.
--
-- In      in_order_ids  JSON         array of distinct orders that the transaction has inserted or locked, or NULL
--         in_type       VARCHAR(16)  a type of `events`
--         in_reason     VARCHAR(16)  a reason of `events`, or NULL
-- Out     nothing
-- Errors  none
-- Locks   its own new events; until the caller's COMMIT
-- Retry   no: it inserts
-- Txn     the caller's
CREATE PROCEDURE insert_order_events(IN in_order_ids JSON, IN in_type VARCHAR(16), IN in_reason VARCHAR(16))
COMMENT 'write an event of one type for each of some orders'
BEGIN
    INSERT /*+ SET_VAR(group_concat_max_len = 65536) */ INTO events
        (type, order_id, hold_ids, caller, occurred_at, reason)
    SELECT
        in_type,
        order_.id,
        IF(
            order_.product_id IS NULL,
            (
                SELECT CONCAT('[', GROUP_CONCAT(line.hold_id ORDER BY line.hold_id), ']')
                FROM order_lines AS line
                WHERE line.order_id = order_.id
            ),
            CONCAT('[', order_.hold_id, ']') -- the order has one line
        ),
        order_.caller,
        UTC_TIMESTAMP(),
        in_reason
    FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS changed
    STRAIGHT_JOIN orders AS order_ ON order_.id = changed.order_id;
END
