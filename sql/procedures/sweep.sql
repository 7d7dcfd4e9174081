-- sweep: release up to in_limit due holds and orders, with one sweep running at a time.
--
-- expire_due and the EVENT call it.
--
-- In      in_limit      BIGINT   holds, and orders, at the most
--         in_wait_s     INT      seconds to wait for a running sweep
-- Out     out_sweep_id  BIGINT   the last row of sweeps; NULL where nothing was released
--         out_holds, out_orders, out_units  BIGINT  released
--         out_is_busy   BOOLEAN  another sweep was running the whole time
-- Errors  30003 transaction_in_progress
-- Locks   a named lock for the whole run; due holds, overdue orders, then stock, until each COMMIT
-- Retry   safe
-- Txn     its own, one for each 1,000 holds and orders; refused inside another
CREATE PROCEDURE sweep(
    IN in_limit BIGINT,
    IN in_wait_s INT,
    OUT out_sweep_id BIGINT,
    OUT out_holds BIGINT,
    OUT out_orders BIGINT,
    OUT out_units BIGINT,
    OUT out_is_busy BOOLEAN
)
COMMENT 'release up to in_limit due holds and orders, with one sweep running at a time'
sweep: BEGIN
    DECLARE v_lock_name VARCHAR(64) DEFAULT LEFT(CONCAT('sweep.', DATABASE()), 64);
    DECLARE v_sweep_id BIGINT;
    DECLARE v_holds BIGINT;
    DECLARE v_orders BIGINT;
    DECLARE v_units BIGINT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        DO RELEASE_LOCK(v_lock_name);
        RESIGNAL;
    END;

    SET out_holds = 0, out_orders = 0, out_units = 0;
    SET out_is_busy = COALESCE(GET_LOCK(v_lock_name, in_wait_s), 0) = 0;
    IF out_is_busy THEN
        LEAVE sweep;
    END IF;

    REPEAT
        CALL begin_transaction();
        CALL sweep_once(
            LEAST(1000, in_limit - GREATEST(out_holds, out_orders)), v_sweep_id, v_holds, v_orders, v_units
        );
        SET
            out_sweep_id = COALESCE(v_sweep_id, out_sweep_id),
            out_holds = out_holds + v_holds,
            out_orders = out_orders + v_orders,
            out_units = out_units + v_units;
    UNTIL v_sweep_id IS NULL OR GREATEST(out_holds, out_orders) >= in_limit END REPEAT;

    DO RELEASE_LOCK(v_lock_name);
END
