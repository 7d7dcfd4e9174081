-- begin_read: find out whether a read joins the caller's transaction or opens one of its own.
--
-- In a session without autocommit a plain SELECT opens a transaction, and the session's next CALL would fail with
-- 30003. So a read ends the transaction that it opened, but leaves the caller's transaction as it was. On a read-only
-- server, whose rows may be old, it raises 1290.
--
-- In      nothing
-- Out     out_is_own  BOOLEAN  pass it to end_read
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE begin_read(OUT out_is_own BOOLEAN)
COMMENT 'find out whether a read joins the caller''s transaction or opens one of its own'
BEGIN
    DECLARE EXIT HANDLER FOR 1568
        SET out_is_own = FALSE;

    IF @@GLOBAL.read_only THEN
        CALL raise_read_only();
    END IF;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET out_is_own = TRUE;
END
