-- begin_read: tell whether a read joins the caller's transaction or opens one that it has to end.
--
-- In a session without autocommit a plain SELECT opens a transaction, which would make the session's next CALL fail
-- with 30003; so a read ends what it opened. Inside the caller's transaction it leaves all as it was. On a read-only
-- server, whose rows may be old, it raises 1290.
--
-- In      nothing
-- Out     out_is_own  BOOLEAN  end it with end_read
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE begin_read(OUT out_is_own BOOLEAN)
COMMENT 'tell whether a read joins the caller''s transaction or opens one that it has to end'
BEGIN
    DECLARE EXIT HANDLER FOR 1568
        SET out_is_own = FALSE;

    IF @@GLOBAL.read_only THEN
        CALL raise_read_only();
    END IF;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET out_is_own = TRUE;
END
