-- cancel_orders: cancel pending orders and return their stock.
--
-- In      in_order_ids  JSON  array of at most 1,000 elements: an id, or [id, caller] to find it only
--                             if that caller made it
-- Out     one row per element, in order: order_id, hold_id (NULL with several lines), status (cancelled),
--         replayed (1: was cancelled before), errno (NULL: is cancelled), hold_ids (JSON array, ascending; NULL with
--         one line); then, if a stock changed, one row per product (see get_products)
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

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        ANY_VALUE(order_.id) AS order_id,
        IF(COUNT(line.hold_id) > 1, NULL, MIN(line.hold_id)) AS hold_id,
        ANY_VALUE(order_.status) AS status,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        IF(
            SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r'),
            NULL, verdict_errno(SUBSTRING(v_verdicts, request.position, 1))
        ) AS errno,
        IF(
            COUNT(line.hold_id) > 1, CONCAT('[', GROUP_CONCAT(line.hold_id ORDER BY line.hold_id), ']'), NULL
        ) AS hold_ids
    FROM JSON_TABLE(in_order_ids, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$[0]'
    )) AS request
    LEFT JOIN orders AS order_
        ON order_.id = request.order_id AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    LEFT JOIN order_lines AS line ON line.order_id = order_.id
    GROUP BY request.position
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
