-- extend_hold: extend an active hold by hold_extension_s seconds, once.
--
-- In      in_hold_id  BIGINT
-- Out     one row: hold_id, expires_at (DATETIME, UTC), replayed (1: was extended before)
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30201 hold_not_found, 30202 hold_expired,
--         30203 hold_already_used, 30204 hold_released
-- Locks   the hold; until COMMIT
-- Retry   safe: an extended hold keeps its deadline
-- Txn     its own; refused inside another
CREATE PROCEDURE extend_hold(IN in_hold_id BIGINT)
COMMENT 'extend an active hold by hold_extension_s seconds, once'
BEGIN
    DECLARE v_verdict VARCHAR(1000);

    CALL decide_extensions(JSON_ARRAY(in_hold_id), v_verdict);
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;
    SELECT id AS hold_id, expires_at, v_verdict = 'r' AS replayed FROM holds WHERE id = in_hold_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
