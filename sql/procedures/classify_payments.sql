-- classify_payments: classify a batch of payment events for one round, without a lock.
--
-- A redelivery has the order and the status of the first delivery. Its other members are not compared, because
-- providers change them between deliveries.
--
-- In      in_events        JSON           as apply_payments
-- InOut   io_verdicts      VARCHAR(1000)  open letters become refusals, redeliveries (r), chosen (+) or - (names no
--                                         order); a further use of a key in the batch stays open
-- Out     out_order_ids    JSON           array of the distinct orders of chosen and redelivered events
--         out_has_reports  BOOLEAN        whether a chosen event reports a refund or a dispute
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE classify_payments(
    IN in_events JSON,
    INOUT io_verdicts VARCHAR(1000),
    OUT out_order_ids JSON,
    OUT out_has_reports BOOLEAN
)
COMMENT 'classify a batch of payment events for one round, without a lock'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(verdict ORDER BY position SEPARATOR ''),
        CONCAT('[', COALESCE(GROUP_CONCAT(DISTINCT IF(verdict IN ('+', 'r'), order_id, NULL)), ''), ']'),
        MAX(verdict = '+' AND status IN ('refunded', 'disputed'))
    INTO io_verdicts, out_order_ids, out_has_reports
    FROM (
        SELECT /*+ NO_MERGE(classified) */
            position, order_id, status,
            -- Chosen: the first open use of its key. By hash, since numbers sort faster; a collision costs a round.
            IF(
                verdict = '.' AND ROW_NUMBER() OVER (PARTITION BY verdict, key_hash ORDER BY position) = 1,
                '+', verdict
            ) AS verdict
        FROM (
            SELECT
                request.position,
                request.order_id,
                known.status,
                CRC32(request.idempotency_key) AS key_hash,
                CASE
                    WHEN SUBSTRING(io_verdicts, request.position, 1) <> '.'
                        THEN SUBSTRING(io_verdicts, request.position, 1)
                    WHEN NOT COALESCE(
                        JSON_TYPE(request.key_type) = 'STRING' AND LENGTH(request.idempotency_key) BETWEEN 1 AND 255
                        AND CASE
                            WHEN request.order_type IS NULL THEN JSON_TYPE(request.payment_type) = 'STRING'
                            ELSE JSON_TYPE(request.order_type) IN ('INTEGER', 'UNSIGNED INTEGER')
                                AND request.order_id >= 1
                        END
                        AND JSON_TYPE(request.status_type) = 'STRING' AND known.status IS NOT NULL
                        AND CASE COALESCE(JSON_TYPE(request.payment_type), 'NULL')
                            WHEN 'NULL' THEN TRUE
                            WHEN 'STRING' THEN LENGTH(request.payment_id) BETWEEN 1 AND 255
                        END
                        AND CASE COALESCE(JSON_TYPE(request.amount_type), 'NULL')
                            WHEN 'NULL' THEN TRUE
                            WHEN 'STRING' THEN REGEXP_LIKE(request.amount, '^[0-9]{1,18}([.][0-9]{1,2}0*)?\\z')
                        END
                        AND COALESCE(REGEXP_LIKE(CAST(request.currency AS CHAR), '(?-i)^(null|"[A-Z]{3}")\\z'), TRUE),
                        FALSE
                    ) THEN 'i' -- invalid_request
                    WHEN request.order_type IS NULL THEN '-' -- names no order
                    WHEN recorded.id IS NULL THEN '.'
                    WHEN recorded.order_id <> request.order_id OR recorded.status <> known.status THEN 'k'
                    ELSE 'r'
                END AS verdict
            FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
                position FOR ORDINALITY,
                idempotency_key VARCHAR(255) PATH '$.idempotency_key', key_type JSON PATH '$.idempotency_key',
                order_id BIGINT PATH '$.order_id', order_type JSON PATH '$.order_id',
                status VARCHAR(16) PATH '$.status', status_type JSON PATH '$.status',
                payment_id VARCHAR(255) PATH '$.payment_id', payment_type JSON PATH '$.payment_id',
                amount VARCHAR(64) PATH '$.amount', amount_type JSON PATH '$.amount',
                currency JSON PATH '$.currency'
            )) AS request
            LEFT JOIN payment_statuses AS known ON known.word = CAST(request.status AS BINARY)
            LEFT JOIN payment_events AS recorded
                ON recorded.idempotency_key = CAST(request.idempotency_key AS BINARY)
        ) AS classified
    ) AS round_;
END
