-- refunds_due: payments that have to be refunded, until settle_refund marks them as settled.
--
-- FORCE INDEX: updated index entries that MySQL has not purged yet let the optimizer overestimate the index.
--
-- Columns event_id, idempotency_key (text, for settle_refund), order_id, amount (NULL where no order ever came),
--         outcome, received_at (UTC)
CREATE VIEW refunds_due AS
SELECT
    event_.id AS event_id,
    CONVERT(event_.idempotency_key USING utf8mb4) AS idempotency_key,
    event_.order_id,
    order_.amount,
    current_outcome(event_.outcome, event_.received_at) AS outcome,
    event_.received_at
FROM payment_events AS event_ FORCE INDEX (payment_events_by_outcome)
LEFT JOIN orders AS order_ ON order_.id = event_.order_id
WHERE
    event_.outcome IN ('refund_due', 'orphaned', 'waiting')
    AND (event_.outcome = 'refund_due' OR event_.status = 'success')
    AND current_outcome(event_.outcome, event_.received_at) <> 'waiting'
    AND event_.refund_settled_at IS NULL
