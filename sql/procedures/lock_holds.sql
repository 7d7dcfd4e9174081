-- lock_holds: lock the holds of a batch, and find out which of them are active.
--
-- In      in_hold_ids   JSON           as release_holds
--         in_released   CHAR(1)        the verdict of a released hold
-- Out     out_verdicts  VARCHAR(1000)  one letter per element (see verdict_errno): a refusal; chosen (+) at the first
--                                      mention of an active hold; replay (r) at its further ones
-- Errors  none
-- Locks   holds by primary key, ascending; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE lock_holds(IN in_hold_ids JSON, IN in_released CHAR(1), OUT out_verdicts VARCHAR(1000))
COMMENT 'lock the holds of a batch, and find out which of them are active'
BEGIN
    DECLARE v_locked_ids JSON;
    DECLARE v_now DATETIME;

    SELECT COALESCE(JSON_ARRAYAGG(hold.id), JSON_ARRAY()) INTO v_locked_ids
    FROM (
        SELECT hold_id FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (hold_id BIGINT PATH '$[0]')) AS element
        ORDER BY hold_id LIMIT 1000
    ) AS wanted
    STRAIGHT_JOIN holds AS hold ON hold.id = wanted.hold_id
    FOR UPDATE OF hold;
    -- The clock is read after the lock, because a statement that waited shows the time at which it started.
    SET v_now = UTC_TIMESTAMP();

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        COALESCE(GROUP_CONCAT(evaluated.verdict ORDER BY evaluated.position SEPARATOR ''), '')
    INTO out_verdicts
    FROM (
        SELECT
            request.position,
            CASE
                WHEN COALESCE(
                    JSON_TYPE(request.hold_type) NOT IN ('INTEGER', 'UNSIGNED INTEGER') OR request.hold_id < 1
                    OR (JSON_TYPE(request.element) = 'ARRAY' AND request.caller IS NULL),
                    TRUE
                ) THEN 'i' -- invalid_request
                WHEN hold.id IS NULL THEN 'h' -- hold_not_found
                WHEN hold.status = 'ordered' THEN 'u' -- hold_already_used
                WHEN hold.status = 'released' THEN in_released
                WHEN hold.status = 'expired' OR hold.expires_at <= v_now THEN 'e' -- hold_expired
                WHEN ROW_NUMBER() OVER (PARTITION BY hold.id ORDER BY request.position) > 1 THEN 'r' -- replay
                ELSE '+'
            END AS verdict
        FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            element JSON PATH '$',
            hold_id BIGINT PATH '$[0]',
            hold_type JSON PATH '$[0]',
            caller VARCHAR(1024) PATH '$[1]'
        )) AS request
        LEFT JOIN holds AS hold
            ON hold.id = request.hold_id
            -- A row that appeared after the locking statement is not locked, so it is not decided.
            AND hold.id MEMBER OF (v_locked_ids)
            AND COALESCE(request.caller, '') IN ('', hold.caller)
    ) AS evaluated;
END
