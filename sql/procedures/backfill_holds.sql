-- backfill_holds: write the price of each active hold that release 0.9 made.
--
-- A deploy calls it once write_holds is this release's, so that no further hold comes without a price. Such holds are
-- recent: the scan begins at the oldest active hold.
--
-- In      nothing
-- Out     nothing
-- Errors  30003 transaction_in_progress
-- Locks   holds by primary key, ascending, then their products; until each COMMIT
-- Retry   safe: continues where it stopped
-- Txn     its own, one per 1,000 holds; refused inside another
CREATE PROCEDURE backfill_holds()
COMMENT 'write the price of each active hold that release 0.9 made'
BEGIN
    DECLARE v_after BIGINT;
    DECLARE v_hold_ids JSON;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT MIN(id) - 1 INTO v_after FROM holds FORCE INDEX (holds_by_deadline) WHERE status = 'active';
        REPEAT
            SELECT JSON_ARRAYAGG(found_.id), MAX(found_.id) INTO v_hold_ids, v_after
            FROM (
                SELECT /*+ INDEX(holds PRIMARY) */ id
                FROM holds
                WHERE id > v_after AND status = 'active' AND unit_price IS NULL
                ORDER BY id
                LIMIT 1000
            ) AS found_;

            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ (
                SELECT hold_id FROM JSON_TABLE(v_hold_ids, '$[*]' COLUMNS (hold_id BIGINT PATH '$')) AS element
                ORDER BY hold_id LIMIT 1000
            ) AS found_
            STRAIGHT_JOIN holds AS hold ON hold.id = found_.hold_id
            STRAIGHT_JOIN products AS product ON product.id = hold.product_id
            SET hold.unit_price = product.price;
            COMMIT;
            CALL begin_transaction();
        UNTIL v_hold_ids IS NULL END REPEAT;
        COMMIT;
    END;
END
