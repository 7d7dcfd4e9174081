-- decide_refunds: decide every request of a batch of refunds.
--
-- In      in_requests    JSON           as refund_orders
--         in_key_prefix  VARCHAR(50)    generated_key_prefix()
-- Out     out_verdicts   VARCHAR(1000)  one letter per request (see verdict_errno)
--         out_touched    JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as refund_orders
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     its own, one per round; refused inside another
CREATE PROCEDURE decide_refunds(
    IN in_requests JSON, IN in_key_prefix VARCHAR(50), OUT out_verdicts VARCHAR(1000), OUT out_touched JSON
)
COMMENT 'decide every request of a batch of refunds'
BEGIN
    DECLARE v_order_ids JSON;
    DECLARE v_locked_ids JSON;

    CALL require_batch(in_requests);
    SET out_verdicts = REPEAT('.', JSON_LENGTH(in_requests)), out_touched = JSON_ARRAY();

    -- A request that depends on earlier ones, by its key or its units, is decided in the round after them.
    WHILE LOCATE('.', out_verdicts) > 0 DO
        CALL begin_transaction();
        BEGIN
            DECLARE EXIT HANDLER FOR SQLEXCEPTION
            BEGIN
                ROLLBACK;
                RESIGNAL;
            END;

            SELECT JSON_ARRAYAGG(wanted.order_id) INTO v_order_ids
            FROM (
                SELECT DISTINCT order_id
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY, order_id BIGINT PATH '$.order_id'
                )) AS request
                WHERE SUBSTRING(out_verdicts, request.position, 1) = '.'
            ) AS wanted;
            CALL lock_existing_orders(v_order_ids, v_locked_ids);
            CALL evaluate_refunds(in_requests, in_key_prefix, v_locked_ids, out_verdicts);
            CALL write_refunds(in_requests, in_key_prefix, out_verdicts, out_touched);
        END;
    END WHILE;
END
