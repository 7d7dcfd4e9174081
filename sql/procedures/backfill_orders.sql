-- backfill_orders: give the orders that release 0.9 made their caller, their customer and the time of their payment.
--
-- A deploy calls it once settle_orders is this release's, so that no further order is paid without a time. An order
-- counts as paid when the payment event that was applied to it arrived.
--
-- In      nothing
-- Out     nothing
-- Errors  30003 transaction_in_progress
-- Locks   orders by primary key, ascending; until each COMMIT
-- Retry   safe: continues where it stopped
-- Txn     its own, one per 1,000 orders; refused inside another
CREATE PROCEDURE backfill_orders()
COMMENT 'give the orders that release 0.9 made their caller, their customer and the time of their payment'
BEGIN
    DECLARE v_found JSON;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        REPEAT
            -- Read plainly before the UPDATE, which would lock every table that it joins.
            SELECT JSON_ARRAYAGG(JSON_OBJECT(
                'order_id', found_.id,
                'caller', COALESCE(CONVERT(hold.caller USING utf8mb4), ''),
                'customer_id', CONVERT(customer.customer_id USING utf8mb4),
                'paid_at', event_.received_at
            ))
            INTO v_found
            FROM (SELECT id, hold_id FROM orders WHERE caller IS NULL ORDER BY id LIMIT 1000) AS found_
            LEFT JOIN holds AS hold ON hold.id = found_.hold_id
            LEFT JOIN customer_units AS customer ON customer.hold_id = found_.hold_id
            LEFT JOIN payment_events AS event_
                ON event_.outcome = 'applied' AND event_.order_id = found_.id AND event_.status = 'success';

            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ (
                SELECT order_id, caller, customer_id, paid_at
                FROM JSON_TABLE(v_found, '$[*]' COLUMNS (
                    order_id BIGINT PATH '$.order_id',
                    caller VARCHAR(64) PATH '$.caller',
                    customer_id VARCHAR(64) PATH '$.customer_id',
                    paid_at DATETIME PATH '$.paid_at'
                )) AS element
                ORDER BY order_id
                LIMIT 1000
            ) AS found_
            STRAIGHT_JOIN orders AS order_ ON order_.id = found_.order_id
            SET
                order_.caller = CAST(found_.caller AS BINARY),
                order_.customer_id = CAST(found_.customer_id AS BINARY),
                order_.paid_at = COALESCE(order_.paid_at, found_.paid_at);
            COMMIT;
            CALL begin_transaction();
        UNTIL v_found IS NULL END REPEAT;
        COMMIT;
    END;
END
