-- decide_cancellations: cancel the pending orders of a batch.
--
-- In      in_order_ids  JSON           as cancel_orders
-- Out     out_verdicts  VARCHAR(1000)  one letter per element (see verdict_errno)
--         out_touched   JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   orders, then stock, each by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE decide_cancellations(IN in_order_ids JSON, OUT out_verdicts VARCHAR(1000), OUT out_touched JSON)
COMMENT 'cancel the pending orders of a batch'
BEGIN
    DECLARE v_order_ids JSON;
    DECLARE v_returned JSON;

    CALL require_batch(in_order_ids);
    SET out_touched = JSON_ARRAY();
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        CALL lock_orders(in_order_ids, 'r', out_verdicts);
        SET out_verdicts = REPLACE(out_verdicts, '+', 'a');

        SELECT JSON_ARRAYAGG(request.order_id) INTO v_order_ids
        FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (
            position FOR ORDINALITY, order_id BIGINT PATH '$[0]'
        )) AS request
        WHERE SUBSTRING(out_verdicts, request.position, 1) = 'a';

        IF v_order_ids IS NOT NULL THEN
            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
            JSON_TABLE(v_order_ids, '$[*]' COLUMNS (order_id BIGINT PATH '$')) AS cancelled
            STRAIGHT_JOIN orders AS order_ ON order_.id = cancelled.order_id
            SET order_.status = 'cancelled';
            CALL read_order_lines(v_order_ids, v_returned);
            CALL insert_order_events(v_order_ids, 'order.cancelled', 'cancelled');
            CALL return_stock(v_returned);
            SET out_touched = JSON_EXTRACT(v_returned, '$[*].product_id');
        END IF;
        COMMIT;
    END;
END
