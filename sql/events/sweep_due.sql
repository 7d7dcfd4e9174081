-- sweep_due: every second, on the second, release what is due, until nothing is.
--
-- Deadlines are whole seconds. The scheduler starts a run anywhere within a second: the run waits for the next whole
-- one, so that stock comes back when its deadline strikes. While a run goes on, the next does nothing.
CREATE EVENT sweep_due
ON SCHEDULE EVERY 1 SECOND STARTS '2026-01-01 00:00:00'
COMMENT 'release due holds and overdue orders'
DO
BEGIN
    DO SLEEP(1 - MICROSECOND(UTC_TIMESTAMP(6)) / 1000000);
    CALL sweep(1000000000, 0, @sweep_id, @holds, @orders, @units, @is_busy);
END
