-- evaluate_new_orders: evaluate a batch of orders for one round, without locks.
--
-- Every refusal is final: a hold never leaves the states ordered, expired and released. A passed deadline moves only
-- if an order or an extension locked the hold in time and commits at this moment.
-- One SELECT, so one snapshot, reads keys and holds: an order and its key are seen together.
-- It evaluates each hold of a request. The first hold in array order that is not chosen decides: it refuses the request
-- or leaves it open. Keys are compared by their hashes, which sort faster; a collision costs a round.
--
-- In      in_requests    JSON           as create_orders
--         in_key_prefix  VARCHAR(50)    generated_key_prefix()
--         in_fingerprints  JSON         hold_set_fingerprints()
-- InOut   io_verdicts    VARCHAR(1000)  open letters become refusals, replays or chosen (+)
--         io_refusing    JSON           object of the holds that refuse requests, by position; those of this round are
--                                       added
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE evaluate_new_orders(
    IN in_requests JSON,
    IN in_key_prefix VARCHAR(50),
    IN in_fingerprints JSON,
    INOUT io_verdicts VARCHAR(1000),
    INOUT io_refusing JSON
)
COMMENT 'evaluate a batch of orders for one round, without locks'
BEGIN
    DECLARE v_refusing JSON;

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(
            COALESCE(SUBSTRING(first_unchosen, 3, 1), IF(is_mixed, 'i', '+'))
            ORDER BY position SEPARATOR ''
        ),
        CONCAT('{', COALESCE(GROUP_CONCAT(
            IF(
                SUBSTRING(first_unchosen, 3, 1) IN ('h', 'u', 'l', 'e') AND SUBSTRING(io_verdicts, position, 1) = '.',
                CONCAT('"', position, '":', SUBSTRING(first_unchosen, 4)), NULL
            )
        ), ''), '}')
    INTO io_verdicts, v_refusing
    FROM (
        SELECT
            position,
            -- The hold's place in the request, its letter and its id.
            MIN(IF(verdict = '+', NULL, CONCAT(LPAD(place, 2, 0), verdict, COALESCE(hold_id, '')))) AS first_unchosen,
            MIN(hold_caller) <> MAX(hold_caller) OR MIN(customer_id) <> MAX(customer_id) AS is_mixed
        FROM (
            -- NO_MERGE: a merged CASE would be evaluated again wherever the verdict is named.
            SELECT /*+ NO_MERGE(evaluated) */
                position, place, hold_id, hold_caller, customer_id,
                CASE
                    WHEN verdict IN ('i', 'r', 'k', 'a') THEN verdict
                    -- Open after an earlier open request with its key: it may become a replay, or a reuse.
                    WHEN MIN(IF(verdict = '.', position, NULL)) OVER (
                        PARTITION BY key_hash ORDER BY position ROWS UNBOUNDED PRECEDING
                    ) < position THEN '.'
                    -- Chosen: the first open request that names the hold.
                    WHEN verdict = '.' AND ROW_NUMBER() OVER (PARTITION BY verdict, hold_id ORDER BY position) = 1
                        THEN '+'
                    ELSE verdict
                END AS verdict
            FROM (
                SELECT
                    request.position, request.place, request.hold_id,
                    CRC32(request.key_bytes) AS key_hash, hold.caller AS hold_caller, customer.customer_id,
                    CASE
                        WHEN request.verdict <> '.' THEN request.verdict
                        WHEN request.place = 1 AND request.fingerprint IS NULL THEN 'i' -- invalid_request
                        WHEN recorded.fingerprint = request.fingerprint THEN 'r' -- replay
                        WHEN recorded.fingerprint IS NOT NULL THEN 'k' -- idempotency_key_reused
                        WHEN hold.id IS NULL THEN 'h' -- hold_not_found
                        WHEN hold.status = 'ordered' THEN 'u' -- hold_already_used
                        WHEN hold.status = 'released' THEN 'l' -- hold_released
                        WHEN hold.status = 'expired' OR hold.expires_at <= UTC_TIMESTAMP() THEN 'e' -- hold_expired
                        ELSE '.'
                    END AS verdict
                FROM (
                    SELECT
                        position, COALESCE(place, 1) AS place, COALESCE(listed_id, hold_id) AS hold_id, listed_id,
                        SUBSTRING(io_verdicts, position, 1) AS verdict,
                        CAST(COALESCE(caller, '') AS BINARY) AS caller,
                        CAST(COALESCE(idempotency_key, CONCAT(in_key_prefix, position)) AS BINARY) AS key_bytes,
                        CASE
                            WHEN place > 1 OR LENGTH(caller) > 64 THEN NULL
                            WHEN JSON_TYPE(key_type) <> 'NULL' AND COALESCE(
                                JSON_TYPE(key_type) <> 'STRING' OR LENGTH(idempotency_key) NOT BETWEEN 1 AND 255, TRUE
                            ) THEN NULL
                            WHEN COALESCE(JSON_TYPE(hold_type), 'NULL') = 'NULL' THEN
                                JSON_UNQUOTE(JSON_EXTRACT(in_fingerprints, CONCAT('$."', position, '"')))
                            WHEN
                                COALESCE(JSON_TYPE(hold_ids), 'NULL') = 'NULL'
                                AND JSON_TYPE(hold_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND hold_id >= 1
                                THEN CAST(hold_id AS CHAR)
                        END AS fingerprint
                    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                        position FOR ORDINALITY, caller VARCHAR(1024) PATH '$.caller',
                        idempotency_key VARCHAR(255) PATH '$.idempotency_key', key_type JSON PATH '$.idempotency_key',
                        hold_id BIGINT PATH '$.hold_id', hold_type JSON PATH '$.hold_id',
                        hold_ids JSON PATH '$.hold_ids',
                        NESTED PATH '$.hold_ids[*]' COLUMNS (place FOR ORDINALITY, listed_id BIGINT PATH '$')
                    )) AS element
                ) AS request
                LEFT JOIN idempotency_keys AS recorded
                    ON recorded.operation = 'order' AND recorded.caller = request.caller
                    AND recorded.idempotency_key = IF(request.place = 1, request.key_bytes, NULL)
                LEFT JOIN holds AS hold ON hold.id = request.hold_id AND request.caller IN ('', hold.caller)
                LEFT JOIN customer_units AS customer ON customer.hold_id = request.listed_id
            ) AS evaluated
        ) AS hold_verdicts
        GROUP BY position
    ) AS round_;
    SET io_refusing = JSON_MERGE_PATCH(io_refusing, v_refusing);
END
