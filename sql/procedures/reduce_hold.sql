-- reduce_hold: reduce the quantity of an active hold; the units that it gives up return to stock.
--
-- In      in_hold_id   BIGINT
--         in_quantity  BIGINT  units that the hold keeps, at least 1
-- Out     one row: hold_id, quantity (units), expires_at (DATETIME, UTC), replayed (1: had that quantity before)
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30103 quantity_out_of_range (more than the hold has),
--         30201 hold_not_found, 30202 hold_expired, 30203 hold_already_used, 30204 hold_released
-- Locks   the hold, its customer's units, then stock; until COMMIT
-- Retry   safe: a reduced hold keeps its quantity
-- Txn     its own; refused inside another
CREATE PROCEDURE reduce_hold(IN in_hold_id BIGINT, IN in_quantity BIGINT)
COMMENT 'reduce the quantity of an active hold; the units that it gives up return to stock'
BEGIN
    DECLARE v_verdict VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_reductions(JSON_ARRAY(JSON_ARRAY(in_hold_id, '', in_quantity)), v_verdict, v_touched);
    IF verdict_errno(v_verdict) IS NOT NULL THEN
        CALL raise_error(verdict_errno(v_verdict));
    END IF;
    SELECT id AS hold_id, quantity, expires_at, v_verdict = 'r' AS replayed FROM holds WHERE id = in_hold_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
