-- reduce_holds: reduce the quantity of active holds; the units that they give up return to stock.
--
-- In      in_requests  JSON  array of at most 1,000 [id, caller, quantity]; caller '': whoever made the hold; quantity
--                            units that the hold keeps, at least 1
-- Out     one row per request, in order: hold_id, quantity (units), expires_at (DATETIME, UTC), replayed (1: the hold
--         had that quantity before), errno (NULL: has that quantity), order_id (with 30203: the order that the hold
--         became); then, if a stock changed, one row per product (see get_products)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30103 quantity_out_of_range (more than the hold has), 30201 hold_not_found,
--         30202 hold_expired, 30203 hold_already_used, 30204 hold_released
-- Locks   holds, customer units, then stock, each by primary key, ascending; until COMMIT
-- Retry   safe: a reduced hold keeps its quantity
-- Txn     its own; refused inside another
CREATE PROCEDURE reduce_holds(IN in_requests JSON)
COMMENT 'reduce the quantity of active holds; the units that they give up return to stock'
BEGIN
    DECLARE v_verdicts VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_reductions(in_requests, v_verdicts, v_touched);

    SELECT
        hold.id AS hold_id,
        IF(hold.id IS NULL, NULL, request.quantity) AS quantity,
        hold.expires_at,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        verdict_errno(SUBSTRING(v_verdicts, request.position, 1)) AS errno,
        used.order_id
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, hold_id BIGINT PATH '$[0]', quantity BIGINT PATH '$[2]'
    )) AS request
    LEFT JOIN holds AS hold
        ON hold.id = request.hold_id AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    LEFT JOIN order_lines AS used
        ON SUBSTRING(v_verdicts, request.position, 1) = 'u' AND used.hold_id = request.hold_id
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
