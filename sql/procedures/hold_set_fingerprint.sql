-- hold_set_fingerprint: return the fingerprint of the holds of an order, which its idempotency key records.
--
-- In      in_hold_ids  JSON  array of 1 to 50 distinct ids, in any order
-- Out     VARCHAR(64): the id if there is one, else the SHA-256 of the ascending ids; NULL: not such an array
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION hold_set_fingerprint(in_hold_ids JSON)
RETURNS VARCHAR(64)
DETERMINISTIC
COMMENT 'return the fingerprint of the holds of an order, which its idempotency key records'
BEGIN
    DECLARE v_fingerprint VARCHAR(64);

    IF JSON_TYPE(in_hold_ids) = 'ARRAY' AND JSON_LENGTH(in_hold_ids) BETWEEN 1 AND 50 THEN
        SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
            IF(
                COUNT(DISTINCT IF(
                    JSON_TYPE(element.hold_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND element.hold_id >= 1,
                    element.hold_id, NULL
                )) < COUNT(*),
                NULL,
                IF(
                    COUNT(*) = 1,
                    MIN(element.hold_id),
                    SHA2(GROUP_CONCAT(element.hold_id ORDER BY element.hold_id), 256)
                )
            )
        INTO v_fingerprint
        FROM JSON_TABLE(in_hold_ids, '$[*]' COLUMNS (hold_id BIGINT PATH '$', hold_type JSON PATH '$')) AS element;
    END IF;
    RETURN v_fingerprint;
END
