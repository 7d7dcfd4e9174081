-- payments_to_review: payment events that a person has to look into, until settle_review.
--
-- Columns event_id, idempotency_key (text, for settle_review), order_id, reason (disputed; wrong_amount: a success of
--         another amount or currency than its pending order's), payment_id (text; NULL: not named), amount (the
--         event's; NULL: not named), order_amount (NULL: there is no such order), received_at (UTC), currency (of the
--         amount; NULL: the shop's)
CREATE VIEW payments_to_review AS
SELECT
    event_.id AS event_id,
    CONVERT(event_.idempotency_key USING utf8mb4) AS idempotency_key,
    event_.order_id,
    IF(event_.status = 'disputed', 'disputed', 'wrong_amount') AS reason,
    CONVERT(event_.payment_id USING utf8mb4) AS payment_id,
    event_.amount,
    order_.amount AS order_amount,
    event_.received_at,
    event_.currency
FROM payment_reviews AS review
INNER JOIN payment_events AS event_ ON event_.id = review.event_id
LEFT JOIN orders AS order_ ON order_.id = event_.order_id
WHERE review.settled_at IS NULL
