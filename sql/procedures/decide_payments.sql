-- decide_payments: record a batch of payment events and settle the orders that exist.
--
-- Two transactions: once an event is committed, the order lock of the second one decides the race against
-- create_orders: whichever of them comes second finds both the event and the order.
--
-- In      in_events    JSON           as apply_payments
-- Out     out_verdicts VARCHAR(1000)  a letter an event (see verdict_errno): a recorded now, r redelivered, i, k
--         out_touched  JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as apply_payments
-- Retry   safe
-- Txn     its own, two; refused inside another
CREATE PROCEDURE decide_payments(IN in_events JSON, OUT out_verdicts VARCHAR(1000), OUT out_touched JSON)
COMMENT 'record a batch of payment events and settle the orders that exist'
BEGIN
    DECLARE v_order_ids JSON;

    CALL require_batch(in_events);
    SET out_touched = JSON_ARRAY();

    CALL begin_transaction();
    CALL record_payments(in_events, out_verdicts);

    SELECT JSON_ARRAYAGG(named.order_id) INTO v_order_ids
    FROM (
        SELECT DISTINCT request.order_id
        FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
            position FOR ORDINALITY, order_id BIGINT PATH '$.order_id'
        )) AS request
        WHERE SUBSTRING(out_verdicts, request.position, 1) IN ('a', 'r')
    ) AS named;
    IF v_order_ids IS NOT NULL THEN
        CALL begin_transaction();
        BEGIN
            DECLARE EXIT HANDLER FOR SQLEXCEPTION
            BEGIN
                ROLLBACK;
                RESIGNAL;
            END;
            CALL settle_orders(v_order_ids, out_touched);
            COMMIT;
        END;
    END IF;
END
