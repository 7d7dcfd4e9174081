-- expire_due: expire due holds, cancel overdue orders, and return their stock.
--
-- It skips rows that other sessions have locked; the next sweep finds them if they are still due.
--
-- In      in_limit  BIGINT  holds, and orders, at the most: 1 to 100,000; 1,000 at a time share a transaction
-- Out     one row: sweep_id (the last; NULL where nothing was due), holds, orders, units, is_busy (1: another
--         sweep was running for 5 s, so that this one did nothing)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   due holds, overdue orders, then stock by primary key, ascending; until each COMMIT
-- Retry   safe
-- Txn     its own, several; refused inside another
CREATE PROCEDURE expire_due(IN in_limit BIGINT)
COMMENT 'expire due holds, cancel overdue orders, and return their stock'
BEGIN
    DECLARE v_sweep_id BIGINT;
    DECLARE v_holds BIGINT;
    DECLARE v_orders BIGINT;
    DECLARE v_units BIGINT;
    DECLARE v_is_busy BOOLEAN;

    IF COALESCE(in_limit NOT BETWEEN 1 AND 100000, TRUE) THEN
        CALL raise_error(30001);
    END IF;
    CALL sweep(in_limit, 5, v_sweep_id, v_holds, v_orders, v_units, v_is_busy);
    SELECT
        v_sweep_id AS sweep_id, v_holds AS holds, v_orders AS orders, v_units AS units, v_is_busy AS is_busy;
END
