-- read_events: return a page of events that have a position.
--
-- The purged position is read in the same snapshot as the events: a page never begins behind a gap that a purge has
-- made since the caller looked.
--
-- In      in_caller  VARCHAR(1024)  as list_events
--         in_after   BIGINT         as list_events
--         in_limit   BIGINT         as list_events
-- Out     one row per event, as list_events; none where events after in_after are purged
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE read_events(IN in_caller VARCHAR(1024), IN in_after BIGINT, IN in_limit BIGINT)
COMMENT 'return a page of events that have a position'
BEGIN
    SELECT
        event_.position,
        event_.type,
        event_.order_id,
        event_.hold_ids,
        event_.occurred_at,
        event_.reason,
        event_.amount,
        CONVERT(event_.payment_id USING utf8mb4) AS payment_id,
        event_.refund_id,
        event_.status
    FROM event_counter AS counter
    STRAIGHT_JOIN events AS event_
        ON event_.position > in_after AND (in_caller = '' OR event_.caller = CAST(in_caller AS BINARY))
    WHERE counter.only_row = 1 AND (in_after = 0 OR counter.purged_position <= in_after)
    ORDER BY event_.position
    LIMIT in_limit;
END
