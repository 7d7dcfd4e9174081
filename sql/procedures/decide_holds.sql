-- decide_holds: decide every request of a batch of holds.
--
-- In      in_requests  JSON          as create_holds
--         in_key_prefix  VARCHAR(50)   generated_key_prefix()
-- Out     out_verdicts VARCHAR(1000) one letter per request (see verdict_errno)
--         out_touched  JSON          array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as create_holds
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     its own, one per round; refused inside another
CREATE PROCEDURE decide_holds(
    IN in_requests JSON, IN in_key_prefix VARCHAR(50), OUT out_verdicts VARCHAR(1000), OUT out_touched JSON
)
COMMENT 'decide every request of a batch of holds'
BEGIN
    DECLARE v_chosen_products JSON;
    DECLARE v_customers BOOLEAN;
    DECLARE v_closes_at DATETIME;
    DECLARE v_released BIGINT;
    DECLARE v_is_swept BOOLEAN DEFAULT FALSE;
    DECLARE v_before VARCHAR(1000);

    CALL require_batch(in_requests);
    SET out_verdicts = REPEAT('.', JSON_LENGTH(in_requests)), out_touched = JSON_ARRAY();

    -- A round writes all requests that certainly fit, in one transaction. Requests that depend on its result (a second
    -- use of a key, a request beyond the running sum) stay open for the next round. Nearly always one round is enough.
    WHILE LOCATE('.', out_verdicts) > 0 DO
        SET v_before = out_verdicts;
        CALL begin_transaction();
        BEGIN
            DECLARE EXIT HANDLER FOR SQLEXCEPTION
            BEGIN
                ROLLBACK;
                RESIGNAL;
            END;

            CALL evaluate_holds(
                in_requests, in_key_prefix, out_verdicts, v_chosen_products, v_customers, v_closes_at
            );
            IF v_customers THEN
                CALL apply_customer_limit(in_requests, out_verdicts, v_chosen_products);
            END IF;
            IF REGEXP_LIKE(out_verdicts, '[sm.]') AND NOT v_is_swept THEN
                COMMIT;
                CALL sweep_short_products(in_requests, out_verdicts, v_released);
                -- The batch is evaluated again in any case: another session may have swept the due holds in between, or
                -- used one of the keys.
                SET v_is_swept = v_released = 0, out_verdicts = v_before;
            ELSE
                SET v_is_swept = LOCATE('+', out_verdicts) = 0; -- open requests are evaluated later than this sweep
                CALL write_holds(
                    in_requests, in_key_prefix, v_chosen_products, v_customers, v_closes_at, out_verdicts, out_touched
                );
            END IF;
        END;
    END WHILE;
END
