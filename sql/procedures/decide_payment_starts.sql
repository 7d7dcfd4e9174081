-- decide_payment_starts: move the deadlines of a batch's pending orders whose payment had not started.
--
-- Of the requests of a batch for one order, the first valid one counts.
--
-- In      in_requests   JSON           as start_payments
-- Out     out_verdicts  VARCHAR(1000)  one letter per element (see verdict_errno)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   orders by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE decide_payment_starts(IN in_requests JSON, OUT out_verdicts VARCHAR(1000))
COMMENT 'move the deadlines of a batch''s pending orders whose payment had not started'
BEGIN
    DECLARE v_default_s BIGINT;
    DECLARE v_maximum_s BIGINT;
    DECLARE v_now DATETIME;

    CALL require_batch(in_requests);
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        CALL lock_orders(in_requests, 'c', out_verdicts);
        SET v_default_s = setting('payment_started_ttl_s'), v_maximum_s = setting('payment_window_maximum_s');
        SET v_now = deadline_after(0);
        SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
            COALESCE(GROUP_CONCAT(evaluated.verdict ORDER BY evaluated.position SEPARATOR ''), '')
        INTO out_verdicts
        FROM (
            SELECT
                request.position,
                CASE
                    WHEN NOT request.is_valid THEN 'i' -- invalid_request
                    WHEN NOT request.is_pending THEN request.verdict
                    WHEN order_.payment_started_at IS NULL AND ROW_NUMBER() OVER (
                        PARTITION BY request.order_id, request.is_valid, request.is_pending ORDER BY request.position
                    ) = 1 THEN 'a'
                    ELSE 'r'
                END AS verdict
            FROM (
                SELECT
                    position, order_id,
                    SUBSTRING(out_verdicts, position, 1) AS verdict,
                    SUBSTRING(out_verdicts, position, 1) IN ('+', 'r') AS is_pending,
                    CASE COALESCE(JSON_TYPE(window_type), 'NULL')
                        WHEN 'NULL' THEN TRUE
                        WHEN 'INTEGER' THEN window_s BETWEEN 1 AND v_maximum_s
                        ELSE FALSE
                    END AS is_valid
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY, order_id BIGINT PATH '$[0]',
                    window_s BIGINT PATH '$[2]', window_type JSON PATH '$[2]'
                )) AS element
            ) AS request
            LEFT JOIN orders AS order_ ON order_.id = request.order_id
        ) AS evaluated;

        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY, order_id BIGINT PATH '$[0]', window_s BIGINT PATH '$[2]'
        )) AS request
        STRAIGHT_JOIN orders AS order_
            ON order_.id = request.order_id AND SUBSTRING(out_verdicts, request.position, 1) = 'a'
        SET
            order_.payment_due_at = GREATEST(
                order_.payment_due_at, v_now + INTERVAL COALESCE(request.window_s, v_default_s) SECOND
            ),
            order_.payment_started_at = UTC_TIMESTAMP();
        COMMIT;
    END;
END
