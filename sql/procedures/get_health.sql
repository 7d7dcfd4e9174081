-- get_health: read the figures that readiness needs.
--
-- In      nothing
-- Out     one row: schema_version, oldest_code, sweep_lag_s (age of the oldest due hold that no sweep has released; 0
--         where none is)
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_health()
COMMENT 'read the figures that readiness needs'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT
        schema_version,
        oldest_code,
        COALESCE(
            (
                SELECT TIMESTAMPDIFF(SECOND, MIN(holds.expires_at), UTC_TIMESTAMP())
                FROM holds
                WHERE holds.status = 'active' AND holds.expires_at <= UTC_TIMESTAMP()
            ),
            0
        ) AS sweep_lag_s
    FROM schema_release;
    CALL end_read(v_is_own);
END
