-- release_due: expire locked holds, cancel locked overdue orders, return their stock, and record the sweep.
--
-- In      in_holds       JSON         array of {"hold_id", "product_id", "quantity"}, or NULL
--         in_orders      JSON         array of orders' lines, as read_order_lines returns them, or NULL
--         in_started_at  DATETIME(6)  UTC; when the sweep began
-- Out     out_sweep_id   BIGINT       NULL: there was nothing to release
--         out_units      BIGINT       returned to stock
-- Errors  none
-- Locks   stock by primary key, ascending, then measurements; until the caller's COMMIT; the rest is locked already
-- Retry   no: its rows must be locked and due
-- Txn     the caller's
CREATE PROCEDURE release_due(
    IN in_holds JSON,
    IN in_orders JSON,
    IN in_started_at DATETIME(6),
    OUT out_sweep_id BIGINT,
    OUT out_units BIGINT
)
COMMENT 'expire locked holds, cancel locked overdue orders, return their stock, and record the sweep'
BEGIN
    DECLARE v_returned JSON DEFAULT JSON_MERGE_PRESERVE(
        COALESCE(in_holds, JSON_ARRAY()), COALESCE(in_orders, JSON_ARRAY())
    );
    DECLARE v_orders BIGINT;

    SET out_units = 0;
    IF JSON_LENGTH(v_returned) > 0 THEN
        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(in_holds, '$[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id')) AS due
        STRAIGHT_JOIN holds AS hold ON hold.id = due.hold_id
        SET hold.status = 'expired';

        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(in_orders, '$[*]' COLUMNS (order_id BIGINT PATH '$.order_id')) AS due
        STRAIGHT_JOIN orders AS order_ ON order_.id = due.order_id
        SET order_.status = 'cancelled';

        -- Before the stock is locked, for which buyers wait until COMMIT.
        SELECT SUM(quantity), COUNT(DISTINCT order_id) INTO out_units, v_orders
        FROM JSON_TABLE(v_returned, '$[*]' COLUMNS (
            order_id BIGINT PATH '$.order_id', quantity BIGINT PATH '$.quantity'
        )) AS released;
        INSERT INTO sweeps (swept_at, holds, orders, units, duration_ms)
        VALUES (
            UTC_TIMESTAMP(6),
            COALESCE(JSON_LENGTH(in_holds), 0),
            v_orders,
            out_units,
            TIMESTAMPDIFF(MICROSECOND, in_started_at, UTC_TIMESTAMP(6)) DIV 1000
        );
        SET out_sweep_id = LAST_INSERT_ID();

        INSERT /*+ SET_VAR(group_concat_max_len = 65536) */ INTO events
            (type, order_id, hold_ids, caller, occurred_at, reason)
        SELECT
            IF(released.order_id IS NULL, 'hold.expired', 'order.cancelled'),
            released.order_id,
            CONCAT('[', GROUP_CONCAT(released.hold_id ORDER BY released.hold_id), ']'),
            ANY_VALUE(hold.caller),
            UTC_TIMESTAMP(),
            IF(released.order_id IS NULL, NULL, 'timed_out')
        FROM JSON_TABLE(v_returned, '$[*]' COLUMNS (
            order_id BIGINT PATH '$.order_id', hold_id BIGINT PATH '$.hold_id'
        )) AS released
        STRAIGHT_JOIN holds AS hold ON hold.id = released.hold_id
        GROUP BY released.order_id, IF(released.order_id IS NULL, released.hold_id, NULL);

        CALL return_stock(v_returned);

        -- Last: a sweep that waits for a product's stock must not make sweeps of other products wait for this row.
        UPDATE measurements
        SET
            holds_expired = holds_expired + COALESCE(JSON_LENGTH(in_holds), 0),
            orders_expired = orders_expired + v_orders
        WHERE only_row = 1;
    END IF;
END
