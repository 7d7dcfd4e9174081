-- decide_payment_starts: move the deadlines of a batch's pending orders whose payment had not started.
--
-- In      in_order_ids  JSON           as cancel_orders
-- Out     out_verdicts  VARCHAR(1000)  one letter per element (see verdict_errno)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   orders by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE decide_payment_starts(IN in_order_ids JSON, OUT out_verdicts VARCHAR(1000))
COMMENT 'move the deadlines of a batch''s pending orders whose payment had not started'
BEGIN
    DECLARE v_due_at DATETIME;

    CALL require_batch(in_order_ids);
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        CALL lock_orders(in_order_ids, 'c', out_verdicts);
        SET v_due_at = deadline_after(setting('payment_started_ttl_s'));
        SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
            GROUP_CONCAT(
                IF(
                    SUBSTRING(out_verdicts, request.position, 1) = '+',
                    IF(order_.payment_started_at IS NULL, 'a', 'r'),
                    SUBSTRING(out_verdicts, request.position, 1)
                )
                ORDER BY request.position SEPARATOR ''
            )
        INTO out_verdicts
        FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (
            position FOR ORDINALITY, order_id BIGINT PATH '$[0]'
        )) AS request
        LEFT JOIN orders AS order_ ON order_.id = request.order_id;

        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(in_order_ids, '$[*]' COLUMNS (
            position FOR ORDINALITY, order_id BIGINT PATH '$[0]'
        )) AS request
        STRAIGHT_JOIN orders AS order_
            ON order_.id = request.order_id AND SUBSTRING(out_verdicts, request.position, 1) = 'a'
        SET
            order_.payment_due_at = GREATEST(order_.payment_due_at, v_due_at),
            order_.payment_started_at = UTC_TIMESTAMP();
        COMMIT;
    END;
END
