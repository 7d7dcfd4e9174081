-- choose_within_maximum: reopen what would take a customer beyond a maximum per customer together with earlier ones.
--
-- Each of the chosen fits alone. What is reopened here is judged again when the earlier ones are decided.
--
-- In      in_requests   JSON           as create_holds
-- InOut   io_verdicts   VARCHAR(1000)  some of the chosen (+) become open (.)
--         io_products   JSON           array of the products of the chosen
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE choose_within_maximum(
    IN in_requests JSON, INOUT io_verdicts VARCHAR(1000), INOUT io_products JSON
)
COMMENT 'reopen what would take a customer beyond a maximum per customer together with earlier ones'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(round_.verdict ORDER BY round_.position SEPARATOR ''),
        CONCAT('[', COALESCE(GROUP_CONCAT(DISTINCT IF(round_.verdict = '+', round_.product_id, NULL)), ''), ']')
    INTO io_verdicts, io_products
    FROM (
        SELECT
            request.position,
            request.product_id,
            IF(
                SUBSTRING(io_verdicts, request.position, 1) = '+'
                AND (
                    SELECT COALESCE(SUM(bought.quantity), 0)
                    FROM customer_units AS bought
                    WHERE
                        bought.customer_id = CAST(request.customer_id AS BINARY)
                        AND bought.product_id = request.product_id
                ) + SUM(request.quantity) OVER (
                    PARTITION BY
                        SUBSTRING(io_verdicts, request.position, 1), request.product_id, request.customer_id
                    ORDER BY request.position ROWS UNBOUNDED PRECEDING
                ) > product.maximum_per_customer,
                '.',
                SUBSTRING(io_verdicts, request.position, 1)
            ) AS verdict
        FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            product_id BIGINT PATH '$.product_id',
            quantity BIGINT PATH '$.quantity',
            customer_id VARCHAR(64) PATH '$.customer_id'
        )) AS request
        LEFT JOIN products AS product ON product.id = request.product_id
    ) AS round_;
END
