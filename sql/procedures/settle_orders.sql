-- settle_orders: apply the waiting payment events of orders that exist, in arrival order.
--
-- The first event of a pending order decides it; all others find the order in its final state. An event that waited
-- too long becomes orphaned instead.
--
-- In      in_locked_ids JSON  array of distinct orders that the transaction has locked (lock_existing_orders)
-- Out     out_products  JSON  array of the products whose stock came back
-- Errors  none
-- Locks   the orders' waiting events, then stock, each by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE settle_orders(IN in_locked_ids JSON, OUT out_products JSON)
COMMENT 'apply the waiting payment events of orders that exist, in arrival order'
settle: BEGIN
    DECLARE v_received_before DATETIME(6)
        DEFAULT UTC_TIMESTAMP(6) - INTERVAL setting('waiting_payment_ttl_s') SECOND;
    DECLARE v_event_ids JSON;
    DECLARE v_failures BIGINT;
    DECLARE v_returned JSON;

    SET out_products = JSON_ARRAY();

    CALL lock_waiting_events(in_locked_ids, v_event_ids, v_failures);
    IF v_event_ids IS NULL THEN
        LEAVE settle;
    END IF;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ (
        SELECT
            event_.id,
            CASE
                WHEN event_.received_at <= v_received_before THEN 'orphaned'
                WHEN order_.status = 'pending'
                    AND ROW_NUMBER() OVER (
                        PARTITION BY order_.id, event_.received_at <= v_received_before
                        ORDER BY event_.received_at, event_.id
                    ) = 1
                    THEN 'applied'
                WHEN event_.status = 'success' THEN 'refund_due'
                ELSE 'ignored'
            END AS outcome
        FROM JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS locked_
        STRAIGHT_JOIN payment_events AS event_ ON event_.id = locked_.event_id
        STRAIGHT_JOIN orders AS order_ ON order_.id = event_.order_id
    ) AS settled
    STRAIGHT_JOIN payment_events AS event_ ON event_.id = settled.id
    SET event_.outcome = settled.outcome;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
    JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS locked_
    STRAIGHT_JOIN payment_events AS event_ ON event_.id = locked_.event_id AND event_.outcome = 'applied'
    STRAIGHT_JOIN orders AS order_ ON order_.id = event_.order_id
    SET order_.status = IF(event_.status = 'success', 'paid', 'cancelled');

    IF v_failures = 0 THEN
        LEAVE settle;
    END IF;
    SELECT
        JSON_ARRAYAGG(JSON_OBJECT(
            'hold_id', order_.hold_id, 'product_id', order_.product_id, 'quantity', order_.quantity
        )),
        JSON_ARRAYAGG(order_.product_id)
    INTO v_returned, out_products
    FROM JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS locked_
    STRAIGHT_JOIN payment_events AS event_
        ON event_.id = locked_.event_id AND event_.outcome = 'applied' AND event_.status = 'failure'
    STRAIGHT_JOIN orders AS order_ ON order_.id = event_.order_id;
    IF v_returned IS NULL THEN
        SET out_products = JSON_ARRAY();
    ELSE
        CALL return_stock(v_returned);
    END IF;
END
