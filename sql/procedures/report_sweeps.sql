-- report_sweeps: return each sweep once, for the log.
--
-- In      in_limit  BIGINT  rows, 1 to 1,000
-- Out     one row per sweep: sweep_id, swept_at (DATETIME(6), UTC), holds, orders, units, duration_ms
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   the sweeps that are returned; until COMMIT
-- Retry   no: a returned sweep is not returned again
-- Txn     its own; refused inside another
CREATE PROCEDURE report_sweeps(IN in_limit BIGINT)
COMMENT 'return each sweep once, for the log'
BEGIN
    DECLARE v_sweep_ids JSON;

    IF COALESCE(in_limit NOT BETWEEN 1 AND 1000, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT JSON_ARRAYAGG(unreported.id) INTO v_sweep_ids
        FROM (
            SELECT id FROM sweeps WHERE reported_at IS NULL ORDER BY id LIMIT in_limit FOR UPDATE SKIP LOCKED
        ) AS unreported;
        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(v_sweep_ids, '$[*]' COLUMNS (sweep_id BIGINT PATH '$')) AS unreported
        STRAIGHT_JOIN sweeps ON sweeps.id = unreported.sweep_id
        SET sweeps.reported_at = UTC_TIMESTAMP();
        COMMIT;
    END;
    SELECT sweeps.id AS sweep_id, sweeps.swept_at, sweeps.holds, sweeps.orders, sweeps.units, sweeps.duration_ms
    FROM JSON_TABLE(v_sweep_ids, '$[*]' COLUMNS (sweep_id BIGINT PATH '$')) AS reported
    STRAIGHT_JOIN sweeps ON sweeps.id = reported.sweep_id
    ORDER BY sweeps.id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
