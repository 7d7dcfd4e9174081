-- enable_sweep: enable the EVENT on a server that has become the primary.
--
-- Replication disables an EVENT on every server except the one where it was last created or enabled, and it stays
-- disabled there after a failover. An EVENT that an operator has disabled stays disabled.
--
-- In      nothing
-- Out     one row: status (of the EVENT now: ENABLED, or DISABLED by an operator)
-- Errors  30003 transaction_in_progress
-- Locks   the EVENT's metadata
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE enable_sweep()
COMMENT 'enable the EVENT on a server that has become the primary'
BEGIN
    DECLARE v_status VARCHAR(64);

    CALL begin_transaction();
    SELECT status INTO v_status
    FROM information_schema.events
    WHERE event_schema = DATABASE() AND event_name = 'sweep_due';
    -- MySQL 8.4 and older use the second name.
    IF v_status IN ('REPLICA_SIDE_DISABLED', 'SLAVESIDE_DISABLED') THEN
        ALTER EVENT sweep_due ENABLE;
        SET v_status = 'ENABLED';
    END IF;
    SELECT v_status AS status;
    COMMIT;
END
