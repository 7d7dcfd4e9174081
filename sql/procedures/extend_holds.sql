-- extend_holds: extend active holds by hold_extension_s seconds, each of them once.
--
-- In      in_hold_ids  JSON  as release_holds
-- Out     one row per element, in order: hold_id, expires_at (DATETIME, UTC), replayed (1: was extended before),
--         errno (NULL: is extended), order_id (with 30203: the order that the hold became)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30201 hold_not_found, 30202 hold_expired, 30203 hold_already_used,
--         30204 hold_released
-- Locks   holds by primary key, ascending; until COMMIT
-- Retry   safe: an extended hold keeps its deadline
-- Txn     its own; refused inside another
CREATE PROCEDURE extend_holds(IN in_hold_ids JSON)
COMMENT 'extend active holds by hold_extension_s seconds, each of them once'
BEGIN
    DECLARE v_verdicts VARCHAR(1000);

    CALL decide_extensions(in_hold_ids, v_verdicts);

    SELECT
        hold.id AS hold_id,
        hold.expires_at,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        verdict_errno(SUBSTRING(v_verdicts, request.position, 1)) AS errno,
        used.order_id
    FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
        position FOR ORDINALITY, hold_id BIGINT PATH '$[0]'
    )) AS request
    LEFT JOIN holds AS hold
        ON hold.id = request.hold_id AND SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r')
    LEFT JOIN order_lines AS used
        ON SUBSTRING(v_verdicts, request.position, 1) = 'u' AND used.hold_id = request.hold_id
    ORDER BY request.position;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
