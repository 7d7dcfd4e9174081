-- refund_fingerprint: return the fingerprint of a refund, which its idempotency key records; NULL if it is not valid.
--
-- In      in_order_id  BIGINT
--         in_restock   JSON    true or false
--         in_lines     JSON    array of 1 to 50 {"hold_id", "quantity"} with distinct holds, in any order; NULL or
--                              null: the whole order
-- Out     VARCHAR(128): the order, whether its units are restocked, and the SHA-256 of the lines; NULL: not valid
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION refund_fingerprint(in_order_id BIGINT, in_restock JSON, in_lines JSON)
RETURNS VARCHAR(128)
DETERMINISTIC
COMMENT 'return the fingerprint of a refund, which its idempotency key records; NULL if it is not valid'
BEGIN
    DECLARE v_lines VARCHAR(64);

    IF COALESCE(JSON_TYPE(in_lines), 'NULL') = 'NULL' THEN
        SET v_lines = 'all';
    ELSEIF JSON_TYPE(in_lines) = 'ARRAY' AND JSON_LENGTH(in_lines) BETWEEN 1 AND 50 THEN
        SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
            IF(
                COUNT(DISTINCT IF(
                    JSON_TYPE(element.hold_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND element.hold_id >= 1
                    AND JSON_TYPE(element.quantity_type) IN ('INTEGER', 'UNSIGNED INTEGER') AND element.quantity >= 1,
                    element.hold_id, NULL
                )) < COUNT(*),
                NULL,
                SHA2(GROUP_CONCAT(element.hold_id, ':', element.quantity ORDER BY element.hold_id), 256)
            )
        INTO v_lines
        FROM JSON_TABLE(in_lines, '$[*]' COLUMNS (
            hold_id BIGINT PATH '$.hold_id', hold_type JSON PATH '$.hold_id',
            quantity BIGINT PATH '$.quantity', quantity_type JSON PATH '$.quantity'
        )) AS element;
    END IF;
    RETURN IF(
        in_order_id >= 1 AND JSON_TYPE(in_restock) = 'BOOLEAN',
        CONCAT(in_order_id, ':', in_restock = TRUE, ':', v_lines),
        NULL
    );
END
