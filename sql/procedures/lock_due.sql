-- lock_due: lock holds and orders, waiting for their locks, and keep those that are still due.
--
-- InOut   io_holds   JSON  array of ids, or NULL; becomes an array of {"hold_id", "product_id", "quantity"}, or NULL
--         io_orders  JSON  array of ids, or NULL; becomes an array of lines, as read_order_lines returns them, or NULL
-- Errors  none
-- Locks   holds, then orders, each by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE lock_due(INOUT io_holds JSON, INOUT io_orders JSON)
COMMENT 'lock holds and orders, waiting for their locks, and keep those that are still due'
BEGIN
    DECLARE v_order_ids JSON;

    SELECT JSON_ARRAYAGG(JSON_OBJECT('hold_id', due.id, 'product_id', due.product_id, 'quantity', due.quantity))
    INTO io_holds
    FROM (
        SELECT hold.id, hold.product_id, hold.quantity
        FROM (
            SELECT id FROM JSON_TABLE(io_holds, '$[*]' COLUMNS (id BIGINT PATH '$')) AS element
            ORDER BY id LIMIT 1000
        ) AS candidate
        STRAIGHT_JOIN holds AS hold ON hold.id = candidate.id
        WHERE hold.status = 'active' AND hold.expires_at <= UTC_TIMESTAMP()
        FOR UPDATE OF hold
    ) AS due;

    SELECT JSON_ARRAYAGG(due.id) INTO v_order_ids
    FROM (
        SELECT order_.id
        FROM (
            SELECT id FROM JSON_TABLE(io_orders, '$[*]' COLUMNS (id BIGINT PATH '$')) AS element
            ORDER BY id LIMIT 1000
        ) AS candidate
        STRAIGHT_JOIN orders AS order_ ON order_.id = candidate.id
        WHERE order_.status = 'pending' AND order_.payment_due_at <= UTC_TIMESTAMP()
        FOR UPDATE OF order_
    ) AS due;
    CALL read_order_lines(v_order_ids, io_orders);
END
