-- hold_set_fingerprints: return the fingerprints of the sets of holds of a batch, which idempotency keys record.
--
-- In      in_requests  JSON  as create_orders
-- Out     JSON  object, by position, of each request whose hold_ids are 1 to 50 distinct ids: the id if there is one,
--               else the SHA-256 of the ascending ids; NULL without any
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION hold_set_fingerprints(in_requests JSON)
RETURNS JSON
DETERMINISTIC
COMMENT 'return the fingerprints of the sets of holds of a batch, which idempotency keys record'
BEGIN
    DECLARE v_fingerprints JSON;

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */ JSON_OBJECTAGG(position, fingerprint) INTO v_fingerprints
    FROM (
        SELECT
            position,
            IF(
                COUNT(*) = 1,
                CAST(MIN(hold_id) AS CHAR),
                SHA2(GROUP_CONCAT(hold_id ORDER BY hold_id), 256)
            ) AS fingerprint
        FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            NESTED PATH '$.hold_ids[*]' COLUMNS (hold_id BIGINT PATH '$', hold_type JSON PATH '$')
        )) AS element
        GROUP BY position
        HAVING
            COUNT(DISTINCT IF(
                JSON_TYPE(hold_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND hold_id >= 1, hold_id, NULL
            )) = COUNT(*)
            AND COUNT(*) <= 50
    ) AS hold_set;
    RETURN v_fingerprints;
END
