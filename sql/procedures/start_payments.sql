-- start_payments: give pending orders more time from now, once, because their buyers are paying.
--
-- In      in_requests  JSON  array of at most 1,000 elements: an id, [id, caller] or [id, caller, window_s]; with a
--                            caller the order is found only if that caller made it; window_s: seconds from now, 1 to
--                            payment_window_maximum_s; missing: payment_started_ttl_s
-- Out     one row per element, in order: order_id, payment_due_at (DATETIME, UTC; never earlier than before),
--         replayed (1: was started before), errno (NULL: is started)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30301 order_not_found, 30302 order_already_paid, 30303 order_cancelled
-- Locks   orders by primary key, ascending; until COMMIT
-- Retry   safe: the first start counts
-- Txn     its own; refused inside another
CREATE PROCEDURE start_payments(IN in_requests JSON)
COMMENT 'give pending orders more time from now, once, because their buyers are paying'
BEGIN
    DECLARE v_verdicts VARCHAR(1000);

    CALL decide_payment_starts(in_requests, v_verdicts);

    SELECT
        order_.id AS order_id,
        order_.payment_due_at,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        verdict_errno(SUBSTRING(v_verdicts, request.position, 1)) AS errno
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, order_id BIGINT PATH '$[0]'
    )) AS request
    LEFT JOIN orders AS order_
        ON order_.id = request.order_id AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    ORDER BY request.position;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
