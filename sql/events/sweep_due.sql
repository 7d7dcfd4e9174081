-- sweep_due: release due holds and overdue orders, every second on the second.
--
-- Deadlines are whole seconds, but the scheduler starts a run at any moment within a second. So the run waits for the
-- next whole second, and stock returns right at its deadline. A run that starts during another one does nothing.
CREATE EVENT sweep_due
ON SCHEDULE EVERY 1 SECOND STARTS '2026-01-01 00:00:00'
COMMENT 'release due holds and overdue orders, every second on the second'
DO
BEGIN
    DO SLEEP(1 - MICROSECOND(UTC_TIMESTAMP(6)) / 1000000);
    CALL sweep(1000000000, 0, @sweep_id, @holds, @orders, @units, @is_busy);
END
