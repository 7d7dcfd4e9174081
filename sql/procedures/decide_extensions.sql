-- decide_extensions: extend the active holds of a batch that were not extended before.
--
-- In      in_hold_ids   JSON           as release_holds
-- Out     out_verdicts  VARCHAR(1000)  one letter per element (see verdict_errno)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   holds by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE decide_extensions(IN in_hold_ids JSON, OUT out_verdicts VARCHAR(1000))
COMMENT 'extend the active holds of a batch that were not extended before'
BEGIN
    DECLARE v_extension_s BIGINT;

    CALL require_batch(in_hold_ids);
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        CALL lock_holds(in_hold_ids, 'l', out_verdicts);
        SET v_extension_s = setting('hold_extension_s');
        SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
            GROUP_CONCAT(
                IF(
                    SUBSTRING(out_verdicts, request.position, 1) = '+',
                    IF(hold.is_extended, 'r', 'a'),
                    SUBSTRING(out_verdicts, request.position, 1)
                )
                ORDER BY request.position SEPARATOR ''
            )
        INTO out_verdicts
        FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
            position FOR ORDINALITY, hold_id BIGINT PATH '$[0]'
        )) AS request
        LEFT JOIN holds AS hold ON hold.id = request.hold_id;

        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
            position FOR ORDINALITY, hold_id BIGINT PATH '$[0]'
        )) AS request
        STRAIGHT_JOIN holds AS hold
            ON hold.id = request.hold_id AND SUBSTRING(out_verdicts, request.position, 1) = 'a'
        SET hold.expires_at = hold.expires_at + INTERVAL v_extension_s SECOND, hold.is_extended = TRUE;
        COMMIT;
    END;
END
