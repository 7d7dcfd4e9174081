-- decide_payments: record a batch of payment events and apply them to the orders that exist.
--
-- If every order exists, one transaction does both under the orders' locks. Otherwise the first transaction commits the
-- events, and the second locks the orders: whichever of it and create_orders comes second finds both event and order.
--
-- In      in_events    JSON           as apply_payments
-- Out     out_verdicts VARCHAR(1000)  one letter per event (see verdict_errno): a recorded now, r redelivered, i, k
--         out_touched  JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as apply_payments
-- Retry   safe
-- Txn     its own, one or two; refused inside another
CREATE PROCEDURE decide_payments(IN in_events JSON, OUT out_verdicts VARCHAR(1000), OUT out_touched JSON)
COMMENT 'record a batch of payment events and apply them to the orders that exist'
BEGIN
    DECLARE v_order_ids JSON;
    DECLARE v_locked_ids JSON;

    CALL require_batch(in_events);
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        CALL evaluate_payments(in_events, out_verdicts, v_order_ids);
        CALL lock_existing_orders(v_order_ids, v_locked_ids);
        IF JSON_LENGTH(v_locked_ids) < JSON_LENGTH(v_order_ids) THEN
            COMMIT;
            CALL begin_transaction();
            CALL record_payments(in_events, out_verdicts);
            COMMIT;
            CALL begin_transaction();
            CALL lock_existing_orders(v_order_ids, v_locked_ids);
        ELSE
            CALL record_payments(in_events, out_verdicts);
        END IF;
        CALL settle_orders(v_locked_ids, out_touched);
        COMMIT;
    END;
END
