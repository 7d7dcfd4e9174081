-- evaluate_orders: evaluate a batch of orders for one round, without locks.
--
-- Every refusal is final: a hold never leaves the states ordered, expired and released. A passed deadline moves only
-- if an order or an extension locked the hold in time and commits at this moment.
-- One SELECT, so one snapshot, reads keys and holds: an order and its key are seen together.
--
-- In      in_requests  JSON          as create_orders
--         in_key_prefix  VARCHAR(50)   generated_key_prefix()
-- InOut   io_verdicts  VARCHAR(1000) open letters become refusals, replays or chosen (+)
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE evaluate_orders(
    IN in_requests JSON, IN in_key_prefix VARCHAR(50), INOUT io_verdicts VARCHAR(1000)
)
COMMENT 'evaluate a batch of orders for one round, without locks'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(round_.verdict ORDER BY round_.position SEPARATOR '')
    INTO io_verdicts
    FROM (
        -- NO_MERGE: a merged CASE would be evaluated again wherever the verdict is named.
        SELECT /*+ NO_MERGE(evaluated) */
            position,
            CASE
                WHEN verdict IN ('i', 'r', 'k', 'a') THEN verdict
                -- Open after an earlier open request with its key: it may become a replay, or a reuse.
                -- Keys are compared by hash, because numbers sort faster; a collision only costs a round.
                WHEN SUM(verdict = '.') OVER (
                    PARTITION BY key_hash ORDER BY position ROWS UNBOUNDED PRECEDING
                ) > (verdict = '.') THEN '.'
                -- Chosen: the first open request for its hold.
                WHEN verdict = '.' AND ROW_NUMBER() OVER (PARTITION BY verdict, hold_id ORDER BY position) = 1
                    THEN '+'
                ELSE verdict
            END AS verdict
        FROM (
            SELECT
                request.position,
                request.hold_id,
                CRC32(request.key_bytes) AS key_hash,
                CASE
                    WHEN SUBSTRING(io_verdicts, request.position, 1) <> '.'
                        THEN SUBSTRING(io_verdicts, request.position, 1)
                    WHEN NOT request.is_valid THEN 'i'
                    WHEN recorded.fingerprint = CAST(request.hold_id AS CHAR) THEN 'r'
                    WHEN recorded.fingerprint IS NOT NULL THEN 'k'
                    WHEN hold.id IS NULL THEN 'h'
                    WHEN hold.status = 'ordered' THEN 'u'
                    WHEN hold.status = 'released' THEN 'l'
                    WHEN hold.status = 'expired' OR hold.expires_at <= UTC_TIMESTAMP() THEN 'e'
                    ELSE '.'
                END AS verdict
            FROM (
                SELECT
                    position,
                    hold_id,
                    CAST(COALESCE(caller, '') AS BINARY) AS caller,
                    CAST(COALESCE(idempotency_key, CONCAT(in_key_prefix, position)) AS BINARY) AS key_bytes,
                    COALESCE(
                        JSON_TYPE(hold_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND hold_id >= 1
                        AND COALESCE(LENGTH(caller), 0) <= 64
                        AND CASE COALESCE(JSON_TYPE(key_type), 'NULL')
                            WHEN 'NULL' THEN TRUE
                            WHEN 'STRING' THEN LENGTH(idempotency_key) BETWEEN 1 AND 255
                            ELSE FALSE
                        END,
                        FALSE
                    ) AS is_valid
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY,
                    hold_id BIGINT PATH '$.hold_id',
                    hold_type JSON PATH '$.hold_id',
                    idempotency_key VARCHAR(255) PATH '$.idempotency_key',
                    key_type JSON PATH '$.idempotency_key',
                    caller VARCHAR(1024) PATH '$.caller'
                )) AS element
            ) AS request
            LEFT JOIN idempotency_keys AS recorded
                ON recorded.operation = 'order' AND recorded.caller = request.caller
                AND recorded.idempotency_key = request.key_bytes
            LEFT JOIN holds AS hold ON hold.id = request.hold_id AND request.caller IN ('', hold.caller)
        ) AS evaluated
    ) AS round_;
END
