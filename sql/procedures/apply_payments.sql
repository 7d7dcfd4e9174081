-- apply_payments: record a batch of payment events and apply them to the orders that exist, in array order.
--
-- A success pays a pending order, a failure (also failed, expired, cancelled or canceled) cancels it. refunded settles
-- the refund that is due under the same payment_id. disputed lists the event in payments_to_review. declined, pending,
-- processing and authorized are recorded only. The table payment_statuses maps the words.
--
-- In      in_events  JSON  array of at most 1,000 {"idempotency_key", "order_id", "status", "payment_id", "amount",
--                          "currency"};
--                          idempotency_key 1 to 255 bytes; order_id BIGINT, missing: the order of the payment_id's
--                          latest event, and without one the event is ignored and not recorded; status a word of
--                          payment_statuses; payment_id 1 to 255 bytes, missing: not named: a further success of the
--                          order under the same payment_id is ignored;
--                          amount a string of digits such as "100.00" (MySQL reads a JSON number as binary floating
--                          point), missing: the order's: a success of another amount does not pay the order;
--                          currency of the amount, such as "EUR", missing: the shop's: a success in another currency
--                          does not pay the order
-- Out     one row per event, in order: order_id (NULL: the event names none, and its payment is unknown), status (of
--         the order; NULL: it does not exist), outcome (applied, ignored, refund_due, waiting, orphaned),
--         replayed (0|1), errno (NULL: accepted); then, if a stock changed, one row per product (see get_products)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30002 idempotency_key_reused
-- Locks   orders by primary key, payment events by their keys, then as settle_orders; until COMMIT
-- Retry   safe: a redelivered event returns its current outcome
-- Txn     its own, one; two where an order does not exist yet, because events are recorded before they are applied;
--         refused inside another
CREATE PROCEDURE apply_payments(IN in_events JSON)
COMMENT 'record a batch of payment events and apply them to the orders that exist, in array order'
BEGIN
    DECLARE v_verdicts VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_payments(in_events, v_verdicts, v_touched);

    SELECT
        recorded.order_id,
        order_.status,
        CASE
            -- Called for waiting events only: a function call costs as much as the rest of the row.
            WHEN recorded.outcome = 'waiting' THEN current_outcome(recorded.outcome, recorded.received_at)
            ELSE COALESCE(recorded.outcome, IF(SUBSTRING(v_verdicts, request.position, 1) = '-', 'ignored', NULL))
        END AS outcome,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        IF(
            SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r'),
            NULL, verdict_errno(SUBSTRING(v_verdicts, request.position, 1))
        ) AS errno
    FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        idempotency_key VARCHAR(255) PATH '$.idempotency_key'
    )) AS request
    LEFT JOIN payment_events AS recorded
        ON recorded.idempotency_key = CAST(request.idempotency_key AS BINARY)
        AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    LEFT JOIN orders AS order_ ON order_.id = recorded.order_id
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
