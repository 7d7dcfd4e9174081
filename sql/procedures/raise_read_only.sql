-- raise_read_only: SIGNAL the errno with which MySQL refuses writes on a read-only server.
--
-- A server that is no longer the primary would answer reads with old rows. Procedures refuse to answer there, so that
-- the caller looks for the primary, as it does after a failed write.
--
-- In      nothing
-- Out     never returns
-- Errors  1290, as SQLSTATE HY000
-- Locks   none
-- Retry   on the primary
-- Txn     none
CREATE PROCEDURE raise_read_only()
COMMENT 'SIGNAL the errno with which MySQL refuses writes on a read-only server'
BEGIN
    SIGNAL SQLSTATE 'HY000'
    SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'this server is read-only: CALL procedures on the primary';
END
