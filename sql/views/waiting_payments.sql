-- waiting_payments: payment events that arrived before their order and wait for it.
--
-- FORCE INDEX: see refunds_due.
--
-- Columns event_id, idempotency_key (text), order_id (does not exist yet), status, received_at (UTC)
CREATE VIEW waiting_payments AS
SELECT
    id AS event_id,
    CONVERT(idempotency_key USING utf8mb4) AS idempotency_key,
    order_id,
    status,
    received_at
FROM payment_events FORCE INDEX (payment_events_by_outcome)
WHERE outcome = 'waiting' AND current_outcome(outcome, received_at) = 'waiting'
