-- purge_events: delete the oldest events, up to the first one that is younger than event_ttl_s seconds.
--
-- Receivers no longer get them.
--
-- In      in_limit    BIGINT  events
-- Out     out_events  BIGINT  deleted
-- Errors  none
-- Locks   event_counter, then the events that are deleted, their retries; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE purge_events(IN in_limit BIGINT, OUT out_events BIGINT)
COMMENT 'delete the oldest events, up to the first one that is younger than event_ttl_s seconds'
BEGIN
    DECLARE v_before DATETIME DEFAULT UTC_TIMESTAMP() - INTERVAL setting('event_ttl_s') SECOND;
    DECLARE v_purged_position BIGINT;
    DECLARE v_last_position BIGINT;

    SELECT purged_position INTO v_purged_position FROM event_counter WHERE only_row = 1 FOR UPDATE;
    SELECT COALESCE(MIN(IF(oldest.occurred_at > v_before, oldest.position, NULL)) - 1, MAX(oldest.position))
    INTO v_last_position
    FROM (
        SELECT position, occurred_at FROM events WHERE position > v_purged_position ORDER BY position LIMIT in_limit
    ) AS oldest;

    DELETE FROM events WHERE position BETWEEN v_purged_position + 1 AND v_last_position;
    SET out_events = ROW_COUNT();
    IF out_events > 0 THEN
        UPDATE event_counter SET purged_position = v_last_position WHERE only_row = 1;
        DELETE /*+ SET_VAR(sql_safe_updates = OFF) */ retry
        FROM event_receivers AS receiver
        STRAIGHT_JOIN event_retries AS retry
            ON retry.receiver_id = receiver.id AND retry.position <= v_last_position;
    END IF;
END
