-- evaluate_refunds: evaluate a batch of refunds for one round.
--
-- The orders are locked already. So a request whose original has just been committed finds its key, and the units that
-- are left cannot change until COMMIT. Keys are compared by their hashes, which sort faster; a collision costs a round.
-- It evaluates each line of a request; of their letters, the first one in 'arkiowx.+' decides.
--
-- In      in_requests    JSON           as refund_orders
--         in_key_prefix  VARCHAR(50)    generated_key_prefix()
--         in_order_ids   JSON           array of the orders that the transaction has locked; others are unknown
-- InOut   io_verdicts    VARCHAR(1000)  open letters become refusals, replays or chosen (+); a further request with a
--                                       key, or for units that earlier ones may take, stays open
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE evaluate_refunds(
    IN in_requests JSON, IN in_key_prefix VARCHAR(50), IN in_order_ids JSON, INOUT io_verdicts VARCHAR(1000)
)
COMMENT 'evaluate a batch of refunds for one round'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(round_.verdict ORDER BY round_.position SEPARATOR '')
    INTO io_verdicts
    FROM (
        SELECT position, SUBSTRING('arkiowx.+', MIN(LOCATE(verdict, 'arkiowx.+')), 1) AS verdict
        FROM (
            -- NO_MERGE: a merged CASE would be evaluated again wherever the verdict is named.
            SELECT /*+ NO_MERGE(evaluated) */
                position,
                CASE
                    WHEN verdict IN ('i', 'r', 'k', 'a') THEN verdict
                    -- Open after an earlier open request with its key: it may become a replay, or a reuse.
                    WHEN MIN(IF(verdict = '.', position, NULL)) OVER (
                        PARTITION BY key_hash ORDER BY position ROWS UNBOUNDED PRECEDING
                    ) < position THEN '.'
                    -- Chosen: its quantity fits into the running sum of the line.
                    WHEN verdict = '.' AND SUM(quantity) OVER (
                        PARTITION BY verdict, hold_id ORDER BY position ROWS UNBOUNDED PRECEDING
                    ) <= available THEN '+'
                    ELSE verdict
                END AS verdict
            FROM (
                SELECT
                    request.position, CRC32(request.key_bytes) AS key_hash, line.hold_id,
                    COALESCE(wanted.quantity, line.quantity - line.refunded_quantity) AS quantity,
                    line.quantity - line.refunded_quantity AS available,
                    CASE
                        WHEN request.verdict <> '.' THEN request.verdict
                        WHEN request.fingerprint IS NULL THEN 'i' -- invalid_request
                        WHEN recorded.fingerprint = request.fingerprint THEN 'r' -- replay
                        WHEN recorded.fingerprint IS NOT NULL THEN 'k' -- idempotency_key_reused
                        WHEN order_.id IS NULL THEN 'o' -- order_not_found
                        WHEN order_.status NOT IN ('paid', 'refunded') THEN 'w' -- order_not_paid
                        WHEN line.hold_id IS NULL AND wanted.hold_id IS NULL THEN 'x' -- nothing is left
                        WHEN line.hold_id IS NULL THEN 'i' -- the hold is not of this order
                        WHEN wanted.quantity > line.quantity - line.refunded_quantity THEN 'x' -- refund_exceeds_order
                        ELSE '.'
                    END AS verdict
                FROM (
                    SELECT
                        position, order_id, SUBSTRING(io_verdicts, position, 1) AS verdict,
                        CAST(COALESCE(caller, '') AS BINARY) AS caller,
                        CAST(COALESCE(idempotency_key, CONCAT(in_key_prefix, position)) AS BINARY) AS key_bytes,
                        CASE
                            WHEN LENGTH(caller) > 64 THEN NULL
                            WHEN JSON_TYPE(key_type) <> 'NULL' AND COALESCE(
                                JSON_TYPE(key_type) <> 'STRING' OR LENGTH(idempotency_key) NOT BETWEEN 1 AND 255, TRUE
                            ) THEN NULL
                            WHEN JSON_TYPE(order_type) IN ('INTEGER', 'UNSIGNED INTEGER')
                                THEN refund_fingerprint(order_id, restock, listed)
                        END AS fingerprint
                    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                        position FOR ORDINALITY, caller VARCHAR(1024) PATH '$.caller',
                        order_id BIGINT PATH '$.order_id', order_type JSON PATH '$.order_id',
                        restock JSON PATH '$.restock', listed JSON PATH '$.lines',
                        idempotency_key VARCHAR(255) PATH '$.idempotency_key', key_type JSON PATH '$.idempotency_key'
                    )) AS element
                ) AS request
                LEFT JOIN idempotency_keys AS recorded
                    ON recorded.operation = 'refund' AND recorded.caller = request.caller
                    AND recorded.idempotency_key = request.key_bytes
                LEFT JOIN orders AS order_
                    ON order_.id = request.order_id AND request.caller IN ('', order_.caller)
                    AND order_.id MEMBER OF (in_order_ids)
                LEFT JOIN JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY,
                    NESTED PATH '$.lines[*]' COLUMNS (
                        hold_id BIGINT PATH '$.hold_id', quantity BIGINT PATH '$.quantity'
                    )
                )) AS wanted ON wanted.position = request.position
                LEFT JOIN order_lines AS line
                    ON line.order_id = order_.id AND line.hold_id = COALESCE(wanted.hold_id, line.hold_id)
                    AND (wanted.hold_id IS NOT NULL OR line.refunded_quantity < line.quantity)
            ) AS evaluated
        ) AS line_verdicts
        GROUP BY position
    ) AS round_;
END
