-- event_deliveries: the receivers of events, and how far each one is behind.
--
-- Every scrape reads it, so it counts at most 1,000 events to retry, 1,000 that are set aside, and 1,000 without a
-- position yet. FORCE INDEX: see refunds_due.
--
-- Columns receiver_id, url, types (NULL: every type), state (active; failing: it accepted nothing of its last batch;
--         paused; gone: it answered 410), position (of the last event that was accepted or moved to the retries),
--         events_behind (after it; those of other types included), events_retried, events_set_aside,
--         lag_s (age of the oldest event that was neither accepted nor set aside; 0: there is none), created_by
CREATE VIEW event_deliveries AS
SELECT
    receiver.id AS receiver_id,
    receiver.url,
    receiver.types,
    IF(receiver.state = 'active' AND receiver.failed_batches > 0, 'failing', CONCAT(receiver.state)) AS state,
    receiver.position,
    counter.last_position - receiver.position
    + (
        SELECT COUNT(*)
        FROM (SELECT 1 FROM events AS event_ WHERE event_.position IS NULL LIMIT 1000) AS counted
    ) AS events_behind,
    (
        SELECT COUNT(*)
        FROM (
            SELECT 1
            FROM event_retries AS retry FORCE INDEX (event_retries_by_state)
            WHERE retry.receiver_id = receiver.id AND retry.set_aside_at IS NULL
            LIMIT 1000
        ) AS counted
    ) AS events_retried,
    (
        SELECT COUNT(counted.set_aside_at)
        FROM (
            SELECT retry.set_aside_at
            FROM event_retries AS retry FORCE INDEX (event_retries_by_state)
            WHERE retry.receiver_id = receiver.id
            -- All columns of the index: MySQL reads it backwards up to the LIMIT instead of sorting. NULL is last.
            ORDER BY retry.receiver_id DESC, retry.set_aside_at DESC, retry.position DESC
            LIMIT 1000
        ) AS counted
    ) AS events_set_aside,
    GREATEST(
        TIMESTAMPDIFF(
            SECOND,
            LEAST(
                COALESCE(
                    (
                        SELECT event_.occurred_at
                        FROM events AS event_
                        WHERE event_.position = GREATEST(receiver.position, counter.purged_position) + 1
                    ),
                    (
                        SELECT event_.occurred_at
                        FROM events AS event_
                        WHERE event_.position IS NULL
                        ORDER BY event_.id
                        LIMIT 1
                    ),
                    UTC_TIMESTAMP()
                ),
                COALESCE(
                    (
                        SELECT event_.occurred_at
                        FROM events AS event_
                        WHERE
                            event_.position = (
                                SELECT retry.position
                                FROM event_retries AS retry FORCE INDEX (event_retries_by_state)
                                WHERE retry.receiver_id = receiver.id AND retry.set_aside_at IS NULL
                                ORDER BY retry.receiver_id, retry.set_aside_at, retry.position -- as in the index
                                LIMIT 1
                            )
                    ),
                    UTC_TIMESTAMP()
                )
            ),
            UTC_TIMESTAMP()
        ),
        0
    ) AS lag_s,
    receiver.created_by
FROM event_receivers AS receiver
CROSS JOIN event_counter AS counter
