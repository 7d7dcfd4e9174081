-- refund_orders: refund a batch of paid orders, as if they were refunded one after another in array order.
--
-- It records the refunds and their units; the money moves at the payment provider.
--
-- In      in_requests  JSON  array of at most 1,000 {"order_id", "restock", "lines", "idempotency_key",
--                            "is_generated_key", "caller"}; order_id BIGINT;
--                            restock true: the units become available; false: they leave the total, as an adjustment;
--                            lines an array of 1 to 50 {"hold_id", "quantity"}, each hold of the order at most once,
--                            quantity in units; missing: all units that are left;
--                            idempotency_key 1 to 255 bytes, missing: one is generated; under it lines are a set;
--                            is_generated_key true: the service generated the key, which is purged sooner;
--                            caller to 64 bytes, missing: '': the owner of the key; finds only orders that it made,
--                            '' all of them
-- Out     one row per request, in order: refund_id, order_id, amount (DECIMAL), status (of the order, as first
--         answered: paid; refunded: no unit is left), replayed (0|1), errno (NULL: accepted); then, if a stock changed,
--         one row per product (see get_products)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30002 idempotency_key_reused, 30301 order_not_found, 30304 order_not_paid,
--         30305 refund_exceeds_order
-- Locks   orders, customer units, then stock, each by primary key, ascending, then idempotency keys ascending; until
--         each round's COMMIT
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     its own, one per round; refused inside another
CREATE PROCEDURE refund_orders(IN in_requests JSON)
COMMENT 'refund a batch of paid orders, as if they were refunded one after another in array order'
BEGIN
    DECLARE v_key_prefix VARCHAR(50) DEFAULT generated_key_prefix();
    DECLARE v_verdicts VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_refunds(in_requests, v_key_prefix, v_verdicts, v_touched);

    SELECT
        refund.id AS refund_id,
        refund.order_id,
        refund.amount,
        recorded.result_status AS status,
        request.verdict = 'r' AS replayed,
        IF(request.verdict IN ('a', 'r'), NULL, verdict_errno(request.verdict)) AS errno
    FROM (
        SELECT
            position,
            CAST(COALESCE(caller, '') AS BINARY) AS caller,
            CAST(COALESCE(idempotency_key, CONCAT(v_key_prefix, position)) AS BINARY) AS key_bytes,
            SUBSTRING(v_verdicts, position, 1) AS verdict
        FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            idempotency_key VARCHAR(255) PATH '$.idempotency_key',
            caller VARCHAR(1024) PATH '$.caller'
        )) AS element
    ) AS request
    LEFT JOIN idempotency_keys AS recorded
        ON recorded.operation = 'refund' AND recorded.caller = request.caller
        AND recorded.idempotency_key = request.key_bytes AND request.verdict IN ('a', 'r')
    LEFT JOIN refunds AS refund ON refund.id = recorded.result_id
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
