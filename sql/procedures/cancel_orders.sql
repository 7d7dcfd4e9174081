-- cancel_orders: cancel pending orders and return their stock.
--
-- In      in_order_ids  JSON  array of at most 1,000 elements: an id, or [id, caller] to find it only
--                             if that caller made it
-- Out     one row per element, in order: order_id, hold_id, status (cancelled), replayed (1: was cancelled before),
--         errno (NULL: is cancelled); then, if a stock changed, one row per product (see get_products)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30301 order_not_found, 30302 order_already_paid
-- Locks   orders, then stock, each by primary key, ascending; until COMMIT
-- Retry   safe: a cancelled order stays cancelled
-- Txn     its own; refused inside another
CREATE PROCEDURE cancel_orders(IN in_order_ids JSON)
COMMENT 'cancel pending orders and return their stock'
BEGIN
    DECLARE v_verdicts VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_cancellations(in_order_ids, v_verdicts, v_touched);

    SELECT
        order_.id AS order_id,
        order_.hold_id,
        order_.status,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        IF(
            SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r'),
            NULL, verdict_errno(SUBSTRING(v_verdicts, request.position, 1))
        ) AS errno
    FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$[0]'
    )) AS request
    LEFT JOIN orders AS order_
        ON order_.id = request.order_id AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
