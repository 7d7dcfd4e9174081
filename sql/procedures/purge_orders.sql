-- purge_orders: delete cancelled orders with their lines, holds and payment events.
--
-- An order with a refund that is due or a payment to review stays. The holds of an order are locked after it, which
-- cannot end in a deadlock: no session that waits for an order has locked holds that were ordered so long ago.
--
-- In      in_before   DATETIME  UTC; orders whose payment was due before it
--         in_limit    BIGINT    orders
-- Out     out_orders  BIGINT    deleted
--         out_events  BIGINT    deleted
-- Errors  none
-- Locks   orders, their holds, lines and events; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE purge_orders(IN in_before DATETIME, IN in_limit BIGINT, OUT out_orders BIGINT, OUT out_events BIGINT)
COMMENT 'delete cancelled orders with their lines, holds and payment events'
BEGIN
    DECLARE v_order_ids JSON;

    SELECT JSON_ARRAYAGG(old.id) INTO v_order_ids
    FROM (
        SELECT cancelled.id
        FROM orders AS cancelled
        WHERE
            cancelled.status = 'cancelled' AND cancelled.payment_due_at <= in_before
            AND NOT EXISTS (SELECT 1 FROM refunds_due AS due WHERE due.order_id = cancelled.id)
            AND NOT EXISTS (SELECT 1 FROM payments_to_review AS review WHERE review.order_id = cancelled.id)
        LIMIT in_limit
        FOR UPDATE OF cancelled SKIP LOCKED
    ) AS old;

    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ hold
    FROM JSON_TABLE(v_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS old
    STRAIGHT_JOIN order_lines AS line ON line.order_id = old.order_id
    STRAIGHT_JOIN holds AS hold ON hold.id = line.hold_id;

    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ line
    FROM JSON_TABLE(v_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS old
    STRAIGHT_JOIN order_lines AS line ON line.order_id = old.order_id;

    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ order_
    FROM JSON_TABLE(v_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS old
    STRAIGHT_JOIN orders AS order_ ON order_.id = old.order_id;
    SET out_orders = ROW_COUNT();

    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ review
    FROM JSON_TABLE(v_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS old
    STRAIGHT_JOIN payment_events AS event_
        ON event_.outcome IN ('applied', 'ignored', 'refund_due', 'orphaned')
        AND event_.order_id = old.order_id
    STRAIGHT_JOIN payment_reviews AS review ON review.event_id = event_.id;

    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ event_
    FROM JSON_TABLE(v_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS old
    STRAIGHT_JOIN payment_events AS event_
        ON event_.outcome IN ('applied', 'ignored', 'refund_due', 'orphaned')
        AND event_.order_id = old.order_id;
    SET out_events = ROW_COUNT();
END
