-- evaluate_payments: separate valid payment events from invalid ones.
--
-- In      in_events     JSON           as apply_payments
-- Out     out_verdicts  VARCHAR(1000)  one letter per event: open (.) or i invalid
--         out_order_ids JSON           array of the distinct orders that open ones name
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE evaluate_payments(IN in_events JSON, OUT out_verdicts VARCHAR(1000), OUT out_order_ids JSON)
COMMENT 'separate valid payment events from invalid ones'
BEGIN
    SELECT /*+ NO_MERGE(evaluated) SET_VAR(group_concat_max_len = 65536) */
        COALESCE(GROUP_CONCAT(evaluated.verdict ORDER BY evaluated.position SEPARATOR ''), ''),
        CONCAT('[', COALESCE(GROUP_CONCAT(DISTINCT IF(evaluated.verdict = '.', evaluated.order_id, NULL)), ''), ']')
    INTO out_verdicts, out_order_ids
    FROM (
        SELECT
            position,
            order_id,
            IF(
                JSON_TYPE(key_type) = 'STRING' AND LENGTH(idempotency_key) BETWEEN 1 AND 255
                AND JSON_TYPE(order_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND order_id >= 1
                AND JSON_TYPE(status_type) = 'STRING'
                AND CAST(status AS BINARY) IN ('success', 'failure', 'failed'),
                '.', 'i'
            ) AS verdict
        FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            idempotency_key VARCHAR(255) PATH '$.idempotency_key',
            key_type JSON PATH '$.idempotency_key',
            order_id BIGINT PATH '$.order_id',
            order_type JSON PATH '$.order_id',
            status VARCHAR(16) PATH '$.status',
            status_type JSON PATH '$.status'
        )) AS request
    ) AS evaluated;
END
