-- require_batch: refuse an argument that is not an array of at most 1,000 elements.
--
-- In      in_requests  JSON
-- Out     nothing
-- Errors  30001 invalid_request
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE PROCEDURE require_batch(IN in_requests JSON)
COMMENT 'refuse an argument that is not an array of at most 1,000 elements'
BEGIN
    IF in_requests IS NULL OR JSON_TYPE(in_requests) <> 'ARRAY' OR JSON_LENGTH(in_requests) > 1000 THEN
        CALL raise_error(30001);
    END IF;
END
