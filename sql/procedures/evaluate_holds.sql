-- evaluate_holds: evaluate a batch of holds for one round, without locks.
--
-- One SELECT, so one snapshot, reads keys and stock. Otherwise a retry whose original commits in between could be
-- refused with insufficient_stock although the original has the units.
--
-- In      in_requests     JSON          as create_holds
--         in_key_prefix     VARCHAR(50)   generated_key_prefix()
-- InOut   io_verdicts     VARCHAR(1000) open letters become refusals, replays or chosen (+)
-- Out     out_products    JSON          array of the products of chosen requests
--         out_customers   BOOLEAN       whether one of them names its customer or has to (apply_customer_limit)
--         out_closes_at   DATETIME      when the first sale of chosen requests ends; NULL: none ends
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE evaluate_holds(
    IN in_requests JSON,
    IN in_key_prefix VARCHAR(50),
    INOUT io_verdicts VARCHAR(1000),
    OUT out_products JSON,
    OUT out_customers BOOLEAN,
    OUT out_closes_at DATETIME
)
COMMENT 'evaluate a batch of holds for one round, without locks'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(round_.verdict ORDER BY round_.position SEPARATOR ''),
        CONCAT('[', COALESCE(GROUP_CONCAT(DISTINCT IF(round_.verdict = '+', round_.product_id, NULL)), ''), ']'),
        MAX(round_.verdict IN ('+', 's') AND round_.has_customer),
        MIN(IF(round_.verdict = '+', round_.ends_at, NULL))
    INTO io_verdicts, out_products, out_customers, out_closes_at
    FROM (
        -- NO_MERGE: a merged CASE would be evaluated again wherever the verdict is named.
        SELECT /*+ NO_MERGE(evaluated) */
            position, product_id, has_customer, ends_at,
            CASE
                WHEN verdict IN ('i', 'r', 'k', 'a') THEN verdict
                -- Open after an earlier open request with its key: it may become a replay, or a reuse.
                -- Keys are compared by hash, because numbers sort faster; a collision only costs a round.
                WHEN SUM(verdict = '.') OVER (
                    PARTITION BY key_hash ORDER BY position ROWS UNBOUNDED PRECEDING
                ) > (verdict = '.') THEN '.'
                -- Chosen: its quantity fits into the running sum of its product.
                WHEN verdict = '.' AND SUM(quantity) OVER (
                    PARTITION BY verdict, product_id ORDER BY position ROWS UNBOUNDED PRECEDING
                ) <= available THEN '+'
                ELSE verdict
            END AS verdict
        FROM (
            SELECT
                request.position, request.product_id, request.quantity,
                CRC32(request.key_bytes) AS key_hash,
                request.customer_id IS NOT NULL OR product.maximum_per_customer IS NOT NULL AS has_customer,
                product.ends_at, stock.available,
                CASE
                    WHEN SUBSTRING(io_verdicts, request.position, 1) <> '.'
                        THEN SUBSTRING(io_verdicts, request.position, 1)
                    WHEN NOT request.is_valid THEN 'i' -- invalid_request
                    WHEN recorded.fingerprint = CONCAT_WS(
                        ':', request.product_id, request.quantity, request.customer_id
                    ) THEN 'r' -- replay
                    WHEN recorded.fingerprint IS NOT NULL THEN 'k' -- idempotency_key_reused
                    WHEN product.id IS NULL OR stock.product_id IS NULL THEN 'p' -- product_not_found
                    WHEN stock.archived_at IS NOT NULL THEN 'v' -- product_archived
                    WHEN request.quantity > product.maximum_per_hold THEN 'q' -- quantity_out_of_range
                    WHEN product.starts_at > UTC_TIMESTAMP() OR product.ends_at <= UTC_TIMESTAMP() THEN 'n'
                    WHEN request.quantity > stock.available THEN 's' -- insufficient_stock
                    ELSE '.'
                END AS verdict
            FROM (
                SELECT
                    position,
                    product_id,
                    quantity,
                    CAST(COALESCE(caller, '') AS BINARY) AS caller,
                    CAST(customer_id AS BINARY) AS customer_id,
                    CAST(COALESCE(idempotency_key, CONCAT(in_key_prefix, position)) AS BINARY) AS key_bytes,
                    COALESCE(
                        JSON_TYPE(product_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND product_id >= 1
                        AND JSON_TYPE(quantity_type) IN ('INTEGER', 'UNSIGNED INTEGER')
                        AND quantity BETWEEN 1 AND 1000000
                        AND COALESCE(LENGTH(caller), 0) <= 64
                        AND CASE COALESCE(JSON_TYPE(key_type), 'NULL')
                            WHEN 'NULL' THEN TRUE
                            WHEN 'STRING' THEN LENGTH(idempotency_key) BETWEEN 1 AND 255
                        END
                        AND CASE COALESCE(JSON_TYPE(customer_type), 'NULL')
                            WHEN 'NULL' THEN TRUE
                            WHEN 'STRING' THEN LENGTH(customer_id) BETWEEN 1 AND 64
                        END,
                        FALSE
                    ) AS is_valid
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY, caller VARCHAR(1024) PATH '$.caller',
                    product_id BIGINT PATH '$.product_id', product_type JSON PATH '$.product_id',
                    quantity BIGINT PATH '$.quantity', quantity_type JSON PATH '$.quantity',
                    idempotency_key VARCHAR(255) PATH '$.idempotency_key', key_type JSON PATH '$.idempotency_key',
                    customer_id VARCHAR(64) PATH '$.customer_id', customer_type JSON PATH '$.customer_id'
                )) AS element
            ) AS request
            LEFT JOIN idempotency_keys AS recorded
                ON recorded.operation = 'hold' AND recorded.caller = request.caller
                AND recorded.idempotency_key = request.key_bytes
            LEFT JOIN products AS product ON product.id = request.product_id
            LEFT JOIN stock ON stock.product_id = request.product_id
        ) AS evaluated
    ) AS round_;
END
