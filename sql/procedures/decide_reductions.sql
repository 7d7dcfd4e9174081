-- decide_reductions: reduce those holds of a batch that are active, and return the units that they give up.
--
-- Requests of a batch for one hold take effect one after another, in array order.
--
-- In      in_requests   JSON           as reduce_holds
-- Out     out_verdicts  VARCHAR(1000)  one letter per request (see verdict_errno)
--         out_touched   JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   holds, customer units, then stock, each by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE decide_reductions(IN in_requests JSON, OUT out_verdicts VARCHAR(1000), OUT out_touched JSON)
COMMENT 'reduce those holds of a batch that are active, and return the units that they give up'
BEGIN
    DECLARE v_kept JSON;
    DECLARE v_returned JSON;

    CALL require_batch(in_requests);
    SET out_touched = JSON_ARRAY();
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        CALL lock_holds(in_requests, 'l', out_verdicts);
        SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
            COALESCE(GROUP_CONCAT(
                CASE
                    WHEN quantity IS NULL THEN 'i' -- invalid_request
                    WHEN verdict NOT IN ('+', 'r') THEN verdict
                    WHEN quantity > LEAST(held, COALESCE(least_before, held)) THEN 'q' -- quantity_out_of_range
                    WHEN quantity = LEAST(held, COALESCE(least_before, held)) THEN 'r' -- replay
                    ELSE 'a'
                END
                ORDER BY position SEPARATOR ''
            ), '')
        INTO out_verdicts
        FROM (
            SELECT
                request.position, request.quantity, request.verdict, hold.quantity AS held,
                MIN(IF(request.verdict IN ('+', 'r'), request.quantity, NULL)) OVER (
                    PARTITION BY request.hold_id ORDER BY request.position
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS least_before
            FROM (
                SELECT
                    position, hold_id, SUBSTRING(out_verdicts, position, 1) AS verdict,
                    IF(JSON_TYPE(quantity_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND quantity >= 1, quantity, NULL)
                        AS quantity
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY, hold_id BIGINT PATH '$[0]',
                    quantity BIGINT PATH '$[2]', quantity_type JSON PATH '$[2]'
                )) AS element
            ) AS request
            LEFT JOIN holds AS hold ON hold.id = request.hold_id
        ) AS evaluated;

        SELECT
            JSON_ARRAYAGG(JSON_OBJECT('hold_id', hold.id, 'quantity', reduced.quantity)),
            JSON_ARRAYAGG(JSON_OBJECT('product_id', hold.product_id, 'quantity', hold.quantity - reduced.quantity))
        INTO v_kept, v_returned
        FROM (
            SELECT hold_id, MIN(quantity) AS quantity
            FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                position FOR ORDINALITY, hold_id BIGINT PATH '$[0]', quantity BIGINT PATH '$[2]'
            )) AS request
            WHERE SUBSTRING(out_verdicts, request.position, 1) = 'a'
            GROUP BY hold_id
        ) AS reduced
        STRAIGHT_JOIN holds AS hold ON hold.id = reduced.hold_id;

        IF v_kept IS NOT NULL THEN
            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
            JSON_TABLE(v_kept, '$[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id', quantity INT PATH '$.quantity')) AS kept
            STRAIGHT_JOIN holds AS hold ON hold.id = kept.hold_id
            SET hold.quantity = kept.quantity;

            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
            JSON_TABLE(v_kept, '$[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id', quantity INT PATH '$.quantity')) AS kept
            STRAIGHT_JOIN customer_units AS customer ON customer.hold_id = kept.hold_id
            SET customer.quantity = kept.quantity;

            CALL return_stock(v_returned);
            SET out_touched = JSON_EXTRACT(v_returned, '$[*].product_id');
        END IF;
        COMMIT;
    END;
END
