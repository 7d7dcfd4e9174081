-- end_read: end the transaction that a read opened, according to begin_read.
--
-- In      in_is_own  BOOLEAN  as begin_read returned it
-- Out     nothing
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     ends the read's own; leaves the caller's
CREATE PROCEDURE end_read(IN in_is_own BOOLEAN)
COMMENT 'end the transaction that a read opened, according to begin_read'
BEGIN
    IF in_is_own THEN
        COMMIT;
    END IF;
END
