-- get_events: read a page of all events, by position.
--
-- In      in_after  BIGINT  the last position seen; 0: begin with the oldest event that is kept
--         in_limit  BIGINT  rows, 1 to 1,000
-- Out     one row per event, as list_events
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30501 events_purged
-- Locks   event_counter, then the events that get a position; until COMMIT; none where there is no new event
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE get_events(IN in_after BIGINT, IN in_limit BIGINT)
COMMENT 'read a page of all events, by position'
BEGIN
    DECLARE v_last_position BIGINT;
    DECLARE v_purged_position BIGINT;

    IF COALESCE(in_after < 0 OR in_limit NOT BETWEEN 1 AND 1000, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL number_events(v_last_position, v_purged_position);
    IF in_after BETWEEN 1 AND v_purged_position - 1 THEN
        CALL raise_error(30501);
    END IF;
    CALL read_events('', in_after, in_limit);

    COMMIT; -- the transaction that the SELECT above may have opened, see begin_transaction
END
