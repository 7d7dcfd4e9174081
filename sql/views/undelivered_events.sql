-- undelivered_events: the events that receivers have passed and not accepted.
--
-- Columns receiver_id, position, type, order_id (NULL: of a hold), occurred_at (UTC), attempts (that failed), failure
--         (the last one), next_attempt_at (UTC; NULL: an earlier event of its order goes first, or it is set aside),
--         set_aside_at (UTC; not sent again until retry_event; NULL: it is going to be retried)
CREATE VIEW undelivered_events AS
SELECT
    retry.receiver_id,
    retry.position,
    event_.type,
    event_.order_id,
    event_.occurred_at,
    retry.attempts,
    retry.failure,
    retry.next_attempt_at,
    retry.set_aside_at
FROM event_retries AS retry
INNER JOIN events AS event_ ON event_.position = retry.position
