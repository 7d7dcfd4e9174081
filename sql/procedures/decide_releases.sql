-- decide_releases: release the active holds of a batch.
--
-- In      in_hold_ids   JSON           as release_holds
-- Out     out_verdicts  VARCHAR(1000)  one letter per element (see verdict_errno)
--         out_touched   JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   holds, then stock, each by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE decide_releases(IN in_hold_ids JSON, OUT out_verdicts VARCHAR(1000), OUT out_touched JSON)
COMMENT 'release the active holds of a batch'
BEGIN
    DECLARE v_released JSON;

    CALL require_batch(in_hold_ids);
    SET out_touched = JSON_ARRAY();
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        CALL lock_holds(in_hold_ids, 'r', out_verdicts);
        SET out_verdicts = REPLACE(out_verdicts, '+', 'a');

        SELECT
            JSON_ARRAYAGG(JSON_OBJECT('hold_id', hold.id, 'product_id', hold.product_id, 'quantity', hold.quantity)),
            COALESCE(JSON_ARRAYAGG(hold.product_id), out_touched)
        INTO v_released, out_touched
        FROM (
            SELECT request.hold_id
            FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
                position FOR ORDINALITY, hold_id BIGINT PATH '$[0]'
            )) AS request
            WHERE SUBSTRING(out_verdicts, request.position, 1) = 'a'
        ) AS chosen
        STRAIGHT_JOIN holds AS hold ON hold.id = chosen.hold_id;

        IF v_released IS NOT NULL THEN
            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
            JSON_TABLE(v_released, '$[*]' COLUMNS (hold_id BIGINT PATH '$.hold_id')) AS released
            STRAIGHT_JOIN holds AS hold ON hold.id = released.hold_id
            SET hold.status = 'released';
            CALL return_stock(v_released);
        END IF;
        COMMIT;
    END;
END
