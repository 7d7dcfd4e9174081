-- decide_payments: record a batch of payment events and apply them to the orders that exist.
--
-- In      in_events     JSON           as apply_payments
-- Out     out_verdicts  VARCHAR(1000)  one letter per event (see verdict_errno): recorded now (a), redelivered (r),
--                                      i, k, or names no known order (-)
--         out_touched   JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as apply_payments
-- Retry   safe
-- Txn     its own, one or two a round; refused inside another
CREATE PROCEDURE decide_payments(IN in_events JSON, OUT out_verdicts VARCHAR(1000), OUT out_touched JSON)
COMMENT 'record a batch of payment events and apply them to the orders that exist'
BEGIN
    DECLARE v_events JSON DEFAULT in_events;
    DECLARE v_order_ids JSON;
    DECLARE v_has_reports BOOLEAN;

    CALL require_batch(in_events);
    SET out_verdicts = REPEAT('.', JSON_LENGTH(in_events)), out_touched = JSON_ARRAY();

    -- A second use of a key waits for the round after the first.
    WHILE LOCATE('.', out_verdicts) > 0 DO
        CALL begin_transaction();
        BEGIN
            DECLARE EXIT HANDLER FOR SQLEXCEPTION
            BEGIN
                ROLLBACK;
                RESIGNAL;
            END;

            CALL classify_payments(v_events, out_verdicts, v_order_ids, v_has_reports);
            IF LOCATE('-', out_verdicts) > 0 THEN
                CALL resolve_orders(v_events);
                SET out_verdicts = REPLACE(REPLACE(out_verdicts, '-', '.'), '+', '.');
                CALL classify_payments(v_events, out_verdicts, v_order_ids, v_has_reports);
                IF LOCATE('+', out_verdicts) > 0 THEN
                    -- Those that are chosen may report the payment of an event without an order: it waits for them.
                    SET out_verdicts = REPLACE(out_verdicts, '-', '.');
                END IF;
            END IF;
            CALL write_payments(v_events, v_order_ids, v_has_reports, out_verdicts, out_touched);
        END;
    END WHILE;
END
