-- create_orders: turn a batch of holds into orders, as if they were made one after another in array order.
--
-- In      in_requests  JSON  array of at most 1,000 {"hold_id", "idempotency_key", "is_generated_key", "caller"};
--                            hold_id BIGINT; idempotency_key 1 to 255 bytes, missing: one is generated;
--                            is_generated_key true: the service generated the key, which is purged sooner;
--                            caller to 64 bytes, missing: '': the owner of the key (callers have keys of their own)
-- Out     one row per request, in order: order_id (with 30203: the order that the hold became), hold_id,
--         status (pending, unless a waiting payment decided it), replayed (0|1), errno (NULL: accepted),
--         product_id, quantity (units);
--         then, if a stock changed, one row per product (see get_products)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30002 idempotency_key_reused, 30201 hold_not_found,
--         30202 hold_expired, 30203 hold_already_used, 30204 hold_released
-- Locks   holds ascending, waiting payment events, stock, then idempotency keys ascending; until each round's COMMIT
-- Retry   safe: the same keys and arguments return the first answers
-- Txn     its own, one per round; refused inside another
CREATE PROCEDURE create_orders(IN in_requests JSON)
COMMENT 'turn a batch of holds into orders, as if they were made one after another in array order'
BEGIN
    DECLARE v_key_prefix VARCHAR(50) DEFAULT generated_key_prefix();
    DECLARE v_verdicts VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_orders(in_requests, v_key_prefix, v_verdicts, v_touched);

    SELECT
        COALESCE(recorded.result_id, used.id) AS order_id,
        IF(recorded.result_id IS NULL, NULL, request.hold_id) AS hold_id,
        recorded.result_status AS status,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        IF(
            SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r'),
            NULL, verdict_errno(SUBSTRING(v_verdicts, request.position, 1))
        ) AS errno,
        order_.product_id,
        order_.quantity
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        hold_id BIGINT PATH '$.hold_id',
        idempotency_key VARCHAR(255) PATH '$.idempotency_key',
        caller VARCHAR(1024) PATH '$.caller'
    )) AS request
    LEFT JOIN idempotency_keys AS recorded
        ON recorded.operation = 'order' AND recorded.caller = CAST(COALESCE(request.caller, '') AS BINARY)
        AND recorded.idempotency_key
            = CAST(COALESCE(request.idempotency_key, CONCAT(v_key_prefix, request.position)) AS BINARY)
        AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    LEFT JOIN orders AS order_ ON order_.id = recorded.result_id
    LEFT JOIN orders AS used
        ON SUBSTRING(v_verdicts, request.position, 1) = 'u' AND used.hold_id = request.hold_id
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
