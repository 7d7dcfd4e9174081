-- settle_orders: apply the waiting payment events of orders that exist, in arrival order.
--
-- In      in_locked_ids  JSON  array of distinct orders that the transaction has locked (lock_existing_orders)
-- Out     out_products   JSON  array of the products whose stock has returned
-- Errors  none
-- Locks   the orders' waiting events by primary key, ascending, then as apply_outcomes; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE settle_orders(IN in_locked_ids JSON, OUT out_products JSON)
COMMENT 'apply the waiting payment events of orders that exist, in arrival order'
BEGIN
    DECLARE v_events JSON;
    DECLARE v_outcomes VARCHAR(1000);
    DECLARE v_orphaned_ids JSON;

    SET out_products = JSON_ARRAY();
    CALL lock_waiting_payments(in_locked_ids, v_events);
    WHILE v_events IS NOT NULL DO
        CALL decide_outcomes(v_events, REPEAT('+', JSON_LENGTH(v_events)), NULL, v_outcomes);

        IF LOCATE('O', v_outcomes) > 0 THEN
            SELECT JSON_ARRAYAGG(waiting.event_id) INTO v_orphaned_ids
            FROM JSON_TABLE(v_events, '$[*]' COLUMNS (
                position FOR ORDINALITY, event_id BIGINT PATH '$.event_id'
            )) AS waiting
            WHERE SUBSTRING(v_outcomes, waiting.position, 1) = 'O';
            CALL orphan_waiting_payments(v_orphaned_ids);
        END IF;

        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(v_events, '$[*]' COLUMNS (
            position FOR ORDINALITY, event_id BIGINT PATH '$.event_id'
        )) AS waiting
        STRAIGHT_JOIN payment_events AS event_ ON event_.id = waiting.event_id
        SET
            event_.outcome = CASE SUBSTRING(v_outcomes, waiting.position, 1)
                WHEN 'P' THEN 'applied' WHEN 'C' THEN 'applied' WHEN 'O' THEN 'orphaned' WHEN 'I' THEN 'ignored'
                ELSE 'refund_due'
            END,
            event_.refund_reason = CASE SUBSTRING(v_outcomes, waiting.position, 1)
                WHEN 'L' THEN 'too_late' WHEN 'T' THEN 'paid_twice' WHEN 'M' THEN 'wrong_amount'
            END;

        CALL apply_outcomes(v_events, v_outcomes, TRUE, out_products);
        CALL lock_waiting_payments(in_locked_ids, v_events);
    END WHILE;
END
