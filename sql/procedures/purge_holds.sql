-- purge_holds: delete holds, and what was noted of their customers.
--
-- In      in_hold_ids  JSON    array of ids, or NULL
-- Out     out_holds    BIGINT  deleted
-- Errors  none
-- Locks   the holds; until the caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE purge_holds(IN in_hold_ids JSON, OUT out_holds BIGINT)
COMMENT 'delete holds, and what was noted of their customers'
BEGIN
    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ hold
    FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (hold_id BIGINT PATH '$')) AS old
    STRAIGHT_JOIN holds AS hold ON hold.id = old.hold_id;
    SET out_holds = ROW_COUNT();

    DELETE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */ named
    FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (hold_id BIGINT PATH '$')) AS old
    STRAIGHT_JOIN customer_holds AS named ON named.hold_id = old.hold_id;
END
