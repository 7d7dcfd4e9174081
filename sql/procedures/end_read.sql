-- end_read: end what begin_read found to be the read's own.
--
-- In      in_is_own  BOOLEAN  as begin_read said
-- Out     nothing
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     ends the read's own; leaves the caller's
CREATE PROCEDURE end_read(IN in_is_own BOOLEAN)
COMMENT 'end what begin_read found to be the read''s own'
BEGIN
    IF in_is_own THEN
        COMMIT;
    END IF;
END
