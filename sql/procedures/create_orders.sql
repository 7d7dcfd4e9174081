-- create_orders: turn a batch of holds into orders, as if they were made one after another in array order.
--
-- In      in_requests  JSON  array of at most 1,000 {"hold_id", "hold_ids", "idempotency_key", "is_generated_key",
--                            "caller"}; either hold_id BIGINT, or hold_ids, an array of 1 to 50 distinct ids of holds
--                            that one caller made, for one customer at most;
--                            idempotency_key 1 to 255 bytes, missing: one is generated; under it hold_ids are a set;
--                            is_generated_key true: the service generated the key, which is purged sooner;
--                            caller to 64 bytes, missing: '': the owner of the key (callers have keys of their own)
-- Out     one row per request, in order: order_id (with 30203: the order that the hold became), hold_id (refused: the
--         first of the hold_ids that refused), status (pending, unless a waiting payment decided it), replayed (0|1),
--         errno (NULL: accepted), product_id, quantity (units; NULL, as product_id, with several holds), hold_ids (JSON
--         array, ascending). An accepted row has hold_id or hold_ids, whichever the first request under its key had;
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
    DECLARE v_refusing JSON;
    DECLARE v_touched JSON;

    CALL decide_new_orders(in_requests, v_key_prefix, v_verdicts, v_refusing, v_touched);

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        COALESCE(recorded.result_id, used.order_id) AS order_id,
        CASE
            WHEN recorded.result_id IS NULL THEN IF(request.hold_id IS NULL, request.refusing_id, NULL)
            WHEN recorded.is_list THEN NULL
            -- Under its key a request names the same holds as the first one, whose order may be purged by now.
            ELSE COALESCE(request.hold_id, request.first_hold_id)
        END AS hold_id,
        recorded.result_status AS status,
        request.verdict = 'r' AS replayed,
        IF(request.verdict IN ('a', 'r'), NULL, verdict_errno(request.verdict)) AS errno,
        order_.product_id,
        order_.quantity,
        IF(
            recorded.is_list,
            (
                SELECT CONCAT('[', GROUP_CONCAT(named.hold_id ORDER BY named.hold_id), ']')
                FROM JSON_TABLE(
                    IF(request.hold_id IS NULL, request.hold_ids, JSON_ARRAY(request.hold_id)),
                    '$[*]' COLUMNS (hold_id BIGINT PATH '$')
                ) AS named
            ),
            NULL
        ) AS hold_ids
    FROM (
        SELECT
            element.position,
            CAST(COALESCE(element.caller, '') AS BINARY) AS caller,
            CAST(COALESCE(element.idempotency_key, CONCAT(v_key_prefix, element.position)) AS BINARY) AS key_bytes,
            SUBSTRING(v_verdicts, element.position, 1) AS verdict,
            element.hold_id,
            element.first_hold_id,
            element.hold_ids,
            CAST(JSON_EXTRACT(v_refusing, CONCAT('$."', element.position, '"')) AS SIGNED) AS refusing_id
        FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            hold_id BIGINT PATH '$.hold_id',
            first_hold_id BIGINT PATH '$.hold_ids[0]',
            hold_ids JSON PATH '$.hold_ids',
            idempotency_key VARCHAR(255) PATH '$.idempotency_key',
            caller VARCHAR(1024) PATH '$.caller'
        )) AS element
    ) AS request
    LEFT JOIN idempotency_keys AS recorded
        ON recorded.operation = 'order' AND recorded.caller = request.caller
        AND recorded.idempotency_key = request.key_bytes AND request.verdict IN ('a', 'r')
    LEFT JOIN orders AS order_ ON order_.id = recorded.result_id
    LEFT JOIN order_lines AS used ON used.hold_id = request.refusing_id AND request.verdict = 'u'
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
