-- release_holds: release active holds before their deadline.
--
-- In      in_hold_ids  JSON  array of at most 1,000 elements: an id, or [id, caller] to find it only
--                            if that caller made it
-- Out     one row per element, in order: hold_id, replayed (1: was released before), errno (NULL: is released),
--         order_id (with 30203: the order that the hold became);
--         then, if a stock changed, one row per product (see get_products)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
--         in errno: 30001 invalid_request, 30201 hold_not_found, 30202 hold_expired, 30203 hold_already_used
-- Locks   holds, then stock, each by primary key, ascending; until COMMIT
-- Retry   safe: a released hold stays released
-- Txn     its own; refused inside another
CREATE PROCEDURE release_holds(IN in_hold_ids JSON)
COMMENT 'release active holds before their deadline'
BEGIN
    DECLARE v_verdicts VARCHAR(1000);
    DECLARE v_touched JSON;

    CALL decide_releases(in_hold_ids, v_verdicts, v_touched);

    SELECT
        IF(SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r'), request.hold_id, NULL) AS hold_id,
        SUBSTRING(v_verdicts, request.position, 1) = 'r' AS replayed,
        IF(
            SUBSTRING(v_verdicts, request.position, 1) IN ('a', 'r'),
            NULL, verdict_errno(SUBSTRING(v_verdicts, request.position, 1))
        ) AS errno,
        used.order_id
    FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (
        position FOR ORDINALITY, hold_id BIGINT PATH '$[0]'
    )) AS request
    LEFT JOIN order_lines AS used
        ON SUBSTRING(v_verdicts, request.position, 1) = 'u' AND used.hold_id = request.hold_id
    ORDER BY request.position;

    CALL read_touched(v_touched);

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
