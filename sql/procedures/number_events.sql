-- number_events: give the next positions to committed events that have none, in the order of their ids.
--
-- It reads plainly, so it neither waits for transactions that are writing events nor sees theirs: they get later
-- positions, whatever their ids. The session that numbers them holds the counter's lock, so a position is visible only
-- together with all lower ones. An event of an order has a higher id than each event on which it depends.
--
-- In      nothing
-- Out     out_last_position    BIGINT  the highest position that is given out
--         out_purged_position  BIGINT  the highest position of a purged event
-- Errors  30003 transaction_in_progress
-- Locks   event_counter, then the events that get a position; until COMMIT; none where there is no new event
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE number_events(OUT out_last_position BIGINT, OUT out_purged_position BIGINT)
COMMENT 'give the next positions to committed events that have none, in the order of their ids'
BEGIN
    DECLARE v_found BIGINT;
    DECLARE v_event_ids JSON;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT COUNT(*) INTO v_found
        FROM (SELECT id FROM events WHERE position IS NULL LIMIT 1) AS unnumbered;
        IF v_found > 0 THEN
            SELECT last_position INTO out_last_position FROM event_counter WHERE only_row = 1 FOR UPDATE;

            SELECT JSON_ARRAYAGG(unnumbered.id) INTO v_event_ids
            FROM (
                SELECT id FROM events WHERE position IS NULL ORDER BY id LIMIT 10000
            ) AS unnumbered;

            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ (
                SELECT event_id, ROW_NUMBER() OVER (ORDER BY event_id) AS number
                FROM JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS element
            ) AS numbered
            STRAIGHT_JOIN events AS event_ ON event_.id = numbered.event_id
            SET event_.position = out_last_position + numbered.number;

            UPDATE event_counter
            SET last_position = out_last_position + COALESCE(JSON_LENGTH(v_event_ids), 0)
            WHERE only_row = 1;
        END IF;

        SELECT last_position, purged_position INTO out_last_position, out_purged_position
        FROM event_counter
        WHERE only_row = 1;
        COMMIT;
    END;
END
