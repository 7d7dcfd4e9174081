-- restore_product: accept holds of an archived product again and list it.
--
-- In      in_product_id  BIGINT
-- Out     one row: product_id, archived_at (NULL)
-- Errors  30003 transaction_in_progress, 30101 product_not_found
-- Locks   stock by primary key; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE restore_product(IN in_product_id BIGINT)
COMMENT 'accept holds of an archived product again and list it'
BEGIN
    CALL change_archiving(in_product_id, FALSE);
END
