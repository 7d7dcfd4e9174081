-- backfill_order_lines: write the line of each order that release 0.9 made.
--
-- A deploy calls it once insert_orders is this release's, so that no further order comes without a line. An order of
-- release 0.9 has no caller yet; backfill_orders gives it one. The plain reads lock nothing.
--
-- In      nothing
-- Out     nothing
-- Errors  30003 transaction_in_progress
-- Locks   its own new lines; until each COMMIT
-- Retry   safe: passes over the lines that are there
-- Txn     its own, one per 1,000 orders; refused inside another
CREATE PROCEDURE backfill_order_lines()
COMMENT 'write the line of each order that release 0.9 made'
BEGIN
    DECLARE v_after BIGINT DEFAULT 0;
    DECLARE v_last BIGINT;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        REPEAT
            SELECT MAX(found_.id) INTO v_last
            FROM (SELECT id FROM orders WHERE caller IS NULL AND id > v_after ORDER BY id LIMIT 1000) AS found_;

            INSERT INTO order_lines (order_id, hold_id, product_id, quantity, unit_price)
            SELECT order_.id, order_.hold_id, order_.product_id, order_.quantity, order_.amount / order_.quantity
            FROM orders AS order_
            LEFT JOIN order_lines AS line ON line.order_id = order_.id
            WHERE
                order_.caller IS NULL AND order_.id > v_after AND order_.id <= v_last
                AND line.order_id IS NULL;
            COMMIT;
            CALL begin_transaction();
            SET v_after = v_last;
        UNTIL v_last IS NULL END REPEAT;
        COMMIT;
    END;
END
