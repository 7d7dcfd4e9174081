-- lock_active_holds: lock holds, and find out whether all of them may still be ordered.
--
-- InOut   io_hold_ids  JSON  array of distinct ids; becomes NULL if one of them is not active, or is due
-- Errors  none
-- Locks   holds by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE lock_active_holds(INOUT io_hold_ids JSON)
COMMENT 'lock holds, and find out whether all of them may still be ordered'
BEGIN
    DECLARE v_active BIGINT;
    DECLARE v_first_expires_at DATETIME;

    SELECT SUM(hold.status = 'active'), MIN(hold.expires_at) INTO v_active, v_first_expires_at
    FROM (
        -- The LIMIT, more than a batch can name, keeps MySQL from merging the subquery and losing its order.
        SELECT hold_id FROM JSON_TABLE(io_hold_ids, '$[*]' COLUMNS (hold_id BIGINT PATH '$')) AS element
        ORDER BY hold_id LIMIT 50000
    ) AS chosen
    STRAIGHT_JOIN holds AS hold ON hold.id = chosen.hold_id
    FOR UPDATE OF hold;

    -- The clock is read here, because a statement that waited for a lock shows the time at which it started.
    IF COALESCE(v_active, 0) < JSON_LENGTH(io_hold_ids) OR v_first_expires_at <= UTC_TIMESTAMP() THEN
        SET io_hold_ids = NULL;
    END IF;
END
