-- refunds_due: payments that have to be refunded, until settle_refund marks them as settled.
--
-- The index is forced: index entries of updated rows that MySQL has not purged yet make it look worse than it is.
--
-- Columns event_id, idempotency_key (text, for settle_refund), order_id, amount (the event's, otherwise the order's;
--         NULL: neither is known), outcome, received_at (UTC), reason (too_late: the order was cancelled; paid_twice:
--         it was paid; wrong_amount: it was pending; orphaned: it never existed), payment_id (text; NULL: not named),
--         currency (of the event's amount; NULL: the shop's)
CREATE VIEW refunds_due AS
SELECT
    event_.id AS event_id,
    CONVERT(event_.idempotency_key USING utf8mb4) AS idempotency_key,
    event_.order_id,
    COALESCE(event_.amount, order_.amount) AS amount,
    current_outcome(event_.outcome, event_.received_at) AS outcome,
    event_.received_at,
    CASE
        WHEN event_.outcome <> 'refund_due' THEN 'orphaned'
        WHEN event_.refund_reason IS NOT NULL THEN CONCAT(event_.refund_reason)
        -- An event that an earlier release settled.
        WHEN order_.status = 'cancelled' THEN 'too_late'
        ELSE 'paid_twice'
    END AS reason,
    CONVERT(event_.payment_id USING utf8mb4) AS payment_id,
    event_.currency
FROM payment_events AS event_ FORCE INDEX (payment_events_by_outcome)
LEFT JOIN orders AS order_ ON order_.id = event_.order_id
WHERE
    event_.outcome IN ('refund_due', 'orphaned', 'waiting')
    AND (
        event_.outcome = 'refund_due'
        OR (
            event_.status = 'success'
            AND NOT EXISTS (SELECT 1 FROM repeated_payments AS repeated WHERE repeated.event_id = event_.id)
        )
    )
    AND current_outcome(event_.outcome, event_.received_at) <> 'waiting'
    AND event_.refund_settled_at IS NULL
