-- choose_within_maximum: reopen what depends on how many units its customer has after earlier requests of the batch.
--
-- Each of the chosen fits alone. What is reopened here is judged again when the earlier ones are decided.
--
-- In      in_requests   JSON           as create_holds
-- InOut   io_verdicts   VARCHAR(1000)  some of the chosen (+) and the short (s) become open (.)
--         io_products   JSON           array of the products of the chosen
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE choose_within_maximum(
    IN in_requests JSON, INOUT io_verdicts VARCHAR(1000), INOUT io_products JSON
)
COMMENT 'reopen what depends on how many units its customer has after earlier requests of the batch'
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
                WHEN verdict = '+' AND SUM(IF(verdict = '+', quantity, 0)) OVER earlier + (
                    SELECT COALESCE(SUM(had.quantity), 0)
                    FROM customer_units AS had
                    WHERE had.customer_id = chosen.customer_id AND had.product_id = chosen.product_id
                ) > maximum_per_customer THEN '.'
                -- More than its customer may have is said before more than there is.
                WHEN verdict = 's' AND MAX(verdict IN ('+', '.')) OVER earlier THEN '.'
                ELSE verdict
            END AS verdict
        FROM (
            SELECT
                request.position,
                request.product_id,
                request.quantity,
                CAST(request.customer_id AS BINARY) AS customer_id,
                product.maximum_per_customer,
                SUBSTRING(io_verdicts, request.position, 1) AS verdict
            FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                position FOR ORDINALITY,
                product_id BIGINT PATH '$.product_id',
                quantity BIGINT PATH '$.quantity',
                customer_id VARCHAR(64) PATH '$.customer_id'
            )) AS request
            LEFT JOIN products AS product ON product.id = request.product_id
        ) AS chosen
        WINDOW earlier AS (PARTITION BY product_id, customer_id ORDER BY position ROWS UNBOUNDED PRECEDING)
    ) AS round_;
END
