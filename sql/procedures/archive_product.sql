-- archive_product: refuse new holds of a product and leave it out of lists; existing holds and orders go on.
--
-- In      in_product_id  BIGINT
-- Out     one row: product_id, archived_at (DATETIME, UTC; of the first call)
-- Errors  30003 transaction_in_progress, 30101 product_not_found
-- Locks   stock by primary key; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE archive_product(IN in_product_id BIGINT)
COMMENT 'refuse new holds of a product and leave it out of lists; existing holds and orders go on'
BEGIN
    CALL change_archiving(in_product_id, TRUE);
END
