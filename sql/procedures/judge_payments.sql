-- judge_payments: tell payment events that are requests from those that are not.
--
-- In      in_events    JSON           as apply_payments
-- Out     out_verdicts VARCHAR(1000)  a letter an event: open (.) or i invalid
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE judge_payments(IN in_events JSON, OUT out_verdicts VARCHAR(1000))
COMMENT 'tell payment events that are requests from those that are not'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        COALESCE(GROUP_CONCAT(
            IF(
                JSON_TYPE(request.key_type) = 'STRING' AND LENGTH(request.idempotency_key) BETWEEN 1 AND 255
                AND JSON_TYPE(request.order_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND request.order_id >= 1
                AND JSON_TYPE(request.status_type) = 'STRING'
                AND CAST(request.status AS BINARY) IN ('success', 'failure', 'failed'),
                '.', 'i'
            )
            ORDER BY request.position SEPARATOR ''
        ), '')
    INTO out_verdicts
    FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        idempotency_key VARCHAR(255) PATH '$.idempotency_key',
        key_type JSON PATH '$.idempotency_key',
        order_id BIGINT PATH '$.order_id',
        order_type JSON PATH '$.order_id',
        status VARCHAR(16) PATH '$.status',
        status_type JSON PATH '$.status'
    )) AS request;
END
