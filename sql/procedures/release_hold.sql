-- release_hold: release an active hold before its deadline.
--
-- In      in_hold_id  BIGINT
-- Out     one row: hold_id, status (released), replayed (1: was released before)
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30201 hold_not_found, 30202 hold_expired,
--         30203 hold_already_used
-- Locks   the hold, then stock; until COMMIT
-- Retry   safe: a released hold stays released
-- Txn     its own; refused inside another
CREATE PROCEDURE release_hold(IN in_hold_id BIGINT)
COMMENT 'release an active hold before its deadline'
BEGIN
    DECLARE v_verdict VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_releases(JSON_ARRAY(in_hold_id), v_verdict, v_touched);
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;
    SELECT in_hold_id AS hold_id, 'released' AS status, v_verdict = 'r' AS replayed;
END
