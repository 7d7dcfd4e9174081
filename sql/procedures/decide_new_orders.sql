-- decide_new_orders: decide every request of a batch of orders.
--
-- In      in_requests    JSON           as create_orders
--         in_key_prefix  VARCHAR(50)    generated_key_prefix()
-- Out     out_verdicts   VARCHAR(1000)  one letter per request (see verdict_errno)
--         out_refusing   JSON           object of the holds that refused requests, by position
--         out_touched    JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as create_orders
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     its own, one per round; refused inside another
CREATE PROCEDURE decide_new_orders(
    IN in_requests JSON,
    IN in_key_prefix VARCHAR(50),
    OUT out_verdicts VARCHAR(1000),
    OUT out_refusing JSON,
    OUT out_touched JSON
)
COMMENT 'decide every request of a batch of orders'
BEGIN
    DECLARE v_fingerprints JSON;

    CALL require_batch(in_requests);
    SET
        out_verdicts = REPEAT('.', JSON_LENGTH(in_requests)),
        out_refusing = JSON_OBJECT(),
        out_touched = JSON_ARRAY(),
        v_fingerprints = IF(
            JSON_CONTAINS_PATH(in_requests, 'one', '$[*].hold_ids'), hold_set_fingerprints(in_requests), NULL
        );

    -- A second request with the same key or hold is decided in the round after the first.
    WHILE LOCATE('.', out_verdicts) > 0 DO
        CALL begin_transaction();
        BEGIN
            DECLARE EXIT HANDLER FOR SQLEXCEPTION
            BEGIN
                ROLLBACK;
                RESIGNAL;
            END;

            CALL evaluate_new_orders(in_requests, in_key_prefix, v_fingerprints, out_verdicts, out_refusing);
            CALL write_new_orders(in_requests, in_key_prefix, v_fingerprints, out_verdicts, out_touched);
        END;
    END WHILE;
END
