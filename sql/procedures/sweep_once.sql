-- sweep_once: run one transaction of a sweep.
--
-- In      in_limit      BIGINT  holds, and orders, at the most
-- Out     out_sweep_id  BIGINT  its row of sweeps; NULL where nothing was due
--         out_holds, out_orders, out_units  BIGINT  released
-- Errors  none
-- Locks   due holds and overdue orders that no session has locked, then stock by primary key, ascending, then
--         measurements; until COMMIT
-- Retry   safe
-- Txn     ends the caller's
CREATE PROCEDURE sweep_once(
    IN in_limit BIGINT, OUT out_sweep_id BIGINT, OUT out_holds BIGINT, OUT out_orders BIGINT, OUT out_units BIGINT
)
COMMENT 'run one transaction of a sweep'
BEGIN
    DECLARE v_started_at DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
    DECLARE v_holds JSON;
    DECLARE v_order_ids JSON;
    DECLARE v_orders JSON;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SELECT JSON_ARRAYAGG(JSON_OBJECT('hold_id', due.id, 'product_id', due.product_id, 'quantity', due.quantity))
    INTO v_holds
    FROM (
        SELECT id, product_id, quantity
        FROM holds
        WHERE status = 'active' AND expires_at <= UTC_TIMESTAMP()
        ORDER BY expires_at
        LIMIT in_limit
        FOR UPDATE SKIP LOCKED
    ) AS due;

    SELECT JSON_ARRAYAGG(due.id) INTO v_order_ids
    FROM (
        SELECT id
        FROM orders
        WHERE status = 'pending' AND payment_due_at <= UTC_TIMESTAMP()
        ORDER BY payment_due_at
        LIMIT in_limit
        FOR UPDATE SKIP LOCKED
    ) AS due;

    CALL read_order_lines(v_order_ids, v_orders);
    CALL release_due(v_holds, v_orders, v_started_at, out_sweep_id, out_units);
    COMMIT;
    SET
        out_holds = COALESCE(JSON_LENGTH(v_holds), 0),
        out_orders = COALESCE(JSON_LENGTH(v_order_ids), 0);
END
