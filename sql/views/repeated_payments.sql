-- repeated_payments: successes whose payment an earlier success of the same order has reported already.
--
-- Earlier is by arrival. A success that took effect counts as earlier in any case, because two sessions may settle
-- events of nearly the same moment in another order. An event has one row for each such success.
--
-- Columns event_id, first_event_id
CREATE VIEW repeated_payments AS
SELECT
    repeated.id AS event_id,
    first_.id AS first_event_id
FROM payment_events AS repeated
INNER JOIN payment_events AS first_
    ON first_.payment_id = repeated.payment_id AND first_.order_id = repeated.order_id AND first_.id <> repeated.id
    AND first_.status = 'success'
    AND (
        first_.outcome IN ('applied', 'refund_due')
        OR first_.received_at < repeated.received_at
        OR (first_.received_at = repeated.received_at AND first_.id < repeated.id)
    )
WHERE repeated.status = 'success'
