-- decide_releases: release the active ones of a batch of holds.
--
-- In      in_hold_ids   JSON           as release_holds
-- Out     out_verdicts  VARCHAR(1000)  a letter an element (see verdict_errno)
--         out_touched   JSON           array of the products whose stock changed
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   holds, then stock, each by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE decide_releases(IN in_hold_ids JSON, OUT out_verdicts VARCHAR(1000), OUT out_touched JSON)
COMMENT 'release the active ones of a batch of holds'
BEGIN
    DECLARE v_locked_ids JSON;
    DECLARE v_now DATETIME;
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

        SELECT COALESCE(JSON_ARRAYAGG(hold.id), JSON_ARRAY()) INTO v_locked_ids
        FROM (
            SELECT hold_id FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (hold_id BIGINT PATH '$')) AS element
            ORDER BY hold_id LIMIT 1000
        ) AS wanted
        STRAIGHT_JOIN holds AS hold ON hold.id = wanted.hold_id
        FOR UPDATE OF hold;
        SET v_now = UTC_TIMESTAMP();

        SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
            COALESCE(GROUP_CONCAT(judged.verdict ORDER BY judged.position SEPARATOR ''), '')
        INTO out_verdicts
        FROM (
            SELECT
                request.position,
                CASE
                    WHEN COALESCE(
                        JSON_TYPE(request.hold_type) NOT IN ('INTEGER', 'UNSIGNED INTEGER')
                        OR request.hold_id < 1,
                        TRUE
                    ) THEN 'i'
                    WHEN hold.id IS NULL THEN 'h'
                    WHEN hold.status = 'ordered' THEN 'u'
                    WHEN hold.status = 'released' THEN 'r'
                    WHEN hold.status = 'expired' OR hold.expires_at <= v_now THEN 'e'
                    -- The second one of two finds what the first one did.
                    WHEN ROW_NUMBER() OVER (
                        PARTITION BY JSON_TYPE(request.hold_type), request.hold_id ORDER BY request.position
                    ) > 1 THEN 'r'
                    ELSE 'a'
                END AS verdict
            FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
                position FOR ORDINALITY, hold_id BIGINT PATH '$', hold_type JSON PATH '$'
            )) AS request
            LEFT JOIN holds AS hold
                ON hold.id = request.hold_id
                -- One that appeared after the lock was taken is not ours to decide.
                AND hold.id MEMBER OF (v_locked_ids)
        ) AS judged;

        SELECT
            JSON_ARRAYAGG(JSON_OBJECT('id', hold.id, 'product_id', hold.product_id, 'quantity', hold.quantity)),
            COALESCE(JSON_ARRAYAGG(hold.product_id), out_touched)
        INTO v_released, out_touched
        FROM (
            SELECT request.hold_id
            FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
                position FOR ORDINALITY, hold_id BIGINT PATH '$'
            )) AS request
            WHERE SUBSTRING(out_verdicts, request.position, 1) = 'a'
        ) AS chosen
        STRAIGHT_JOIN holds AS hold ON hold.id = chosen.hold_id;

        IF v_released IS NOT NULL THEN
            UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
            JSON_TABLE(v_released, '$[*]' COLUMNS (hold_id BIGINT PATH '$.id')) AS released
            STRAIGHT_JOIN holds AS hold ON hold.id = released.hold_id
            SET hold.status = 'released';
            CALL return_stock(v_released);
        END IF;
        COMMIT;
    END;
END
