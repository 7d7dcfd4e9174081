-- get_health: read the figures that readiness needs.
--
-- In      nothing
-- Out     one row: schema_version, oldest_code, sweep_lag_s (age of the oldest due hold that no sweep has released; 0
--         where none is), is_sweep_enabled (1: the EVENT is enabled, and the server's event scheduler is on)
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
        ) AS sweep_lag_s,
        @@GLOBAL.event_scheduler = 'ON' AND EXISTS (
            SELECT 1
            FROM information_schema.events AS event_
            WHERE
                event_.event_schema = DATABASE() AND event_.event_name = 'sweep_due' AND event_.status = 'ENABLED'
        ) AS is_sweep_enabled
    FROM schema_release;
    CALL end_read(v_is_own);
END
