-- cancel_order: cancel a pending order and return its stock.
--
-- In      in_order_id  BIGINT
-- Out     one row: order_id, hold_id (NULL with several lines), status (cancelled), replayed (1: was cancelled before)
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30301 order_not_found, 30302 order_already_paid
-- Locks   the order, then stock; until COMMIT
-- Retry   safe: a cancelled order stays cancelled
-- Txn     its own; refused inside another
CREATE PROCEDURE cancel_order(IN in_order_id BIGINT)
COMMENT 'cancel a pending order and return its stock'
BEGIN
    DECLARE v_verdict VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_cancellations(JSON_ARRAY(in_order_id), v_verdict, v_touched);
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;
    SELECT
        in_order_id AS order_id,
        IF(COUNT(*) > 1, NULL, MIN(hold_id)) AS hold_id,
        'cancelled' AS status,
        v_verdict = 'r' AS replayed
    FROM order_lines
    WHERE order_id = in_order_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
