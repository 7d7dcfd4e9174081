-- settle_new_orders: apply the payment events that waited for the orders just inserted.
--
-- A plain read finds the events, after the orders are inserted: an event that commits later finds its order locked, and
-- waits for our COMMIT. A locking read here could deadlock with it.
--
-- In      in_order_ids  JSON  array of the orders that this transaction inserted
-- InOut   io_touched    JSON  products whose stock came back are added
-- Errors  none
-- Locks   waiting events by primary key, ascending, then stock; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE settle_new_orders(IN in_order_ids JSON, INOUT io_touched JSON)
COMMENT 'apply the payment events that waited for the orders just inserted'
BEGIN
    DECLARE v_products JSON;
    DECLARE v_waiting BIGINT;

    SELECT COUNT(*) INTO v_waiting
    FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS new_
    STRAIGHT_JOIN payment_events AS event_ ON event_.outcome = 'waiting' AND event_.order_id = new_.order_id;
    IF v_waiting > 0 THEN
        CALL settle_orders(in_order_ids, v_products);
        SET io_touched = JSON_MERGE_PRESERVE(io_touched, v_products);
    END IF;
END
