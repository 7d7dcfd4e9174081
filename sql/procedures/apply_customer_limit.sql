-- apply_customer_limit: refuse or reopen requests that would exceed their customer's maximum.
--
-- Separate from evaluate_holds, so that products without a maximum cost nothing more. It reads at a later moment: a key
-- that was recorded in between reopens its request, so that a retry is never refused while its original has the units.
--
-- In      in_requests   JSON           as create_holds
-- InOut   io_verdicts   VARCHAR(1000)  some of the chosen (+) and the short (s) become refusals (d, m) or open (.)
--         io_products   JSON           array of the products of chosen requests
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE apply_customer_limit(
    IN in_requests JSON, INOUT io_verdicts VARCHAR(1000), INOUT io_products JSON
)
COMMENT 'refuse or reopen requests that would exceed their customer''s maximum'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(round_.verdict ORDER BY round_.position SEPARATOR ''),
        CONCAT('[', COALESCE(GROUP_CONCAT(DISTINCT IF(round_.verdict = '+', round_.product_id, NULL)), ''), ']')
    INTO io_verdicts, io_products
    FROM (
        SELECT
            position,
            product_id,
            CASE
                WHEN maximum_per_customer IS NULL OR verdict NOT IN ('+', 's') THEN verdict
                WHEN is_recorded THEN '.'
                WHEN customer_id IS NULL THEN 'd' -- customer_id_required
                WHEN quantity + had > maximum_per_customer THEN 'm' -- customer_limit_reached
                -- Open: it is evaluated again once earlier requests of its customer are decided.
                WHEN verdict = '+' AND SUM(IF(verdict = '+', quantity, 0)) OVER earlier + had > maximum_per_customer
                    THEN '.'
                -- The customer's maximum takes precedence over a shortage of the product.
                WHEN verdict = 's' AND MAX(verdict IN ('+', '.')) OVER earlier THEN '.'
                ELSE verdict
            END AS verdict
        FROM (
            SELECT
                request.position,
                request.product_id,
                request.quantity,
                request.customer_id,
                product.maximum_per_customer,
                recorded.result_id IS NOT NULL AS is_recorded,
                SUBSTRING(io_verdicts, request.position, 1) AS verdict,
                (
                    SELECT COALESCE(SUM(units.quantity), 0)
                    FROM customer_units AS units
                    WHERE units.customer_id = request.customer_id AND units.product_id = request.product_id
                ) AS had
            FROM (
                SELECT
                    position,
                    product_id,
                    quantity,
                    CAST(customer_id AS BINARY) AS customer_id,
                    CAST(COALESCE(caller, '') AS BINARY) AS caller,
                    CAST(idempotency_key AS BINARY) AS key_bytes
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY,
                    product_id BIGINT PATH '$.product_id',
                    quantity BIGINT PATH '$.quantity',
                    customer_id VARCHAR(64) PATH '$.customer_id',
                    caller VARCHAR(1024) PATH '$.caller',
                    idempotency_key VARCHAR(255) PATH '$.idempotency_key'
                )) AS element
            ) AS request
            LEFT JOIN products AS product ON product.id = request.product_id
            LEFT JOIN idempotency_keys AS recorded
                ON recorded.operation = 'hold' AND recorded.caller = request.caller
                AND recorded.idempotency_key = request.key_bytes
        ) AS evaluated
        WINDOW earlier AS (PARTITION BY product_id, customer_id ORDER BY position ROWS UNBOUNDED PRECEDING)
    ) AS round_;
END
