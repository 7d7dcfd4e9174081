-- begin_transaction: start the READ COMMITTED transaction that a procedure owns.
--
-- Every procedure with a transaction of its own calls it before it reads any table, and ends with a COMMIT behind its
-- answer: in a session without autocommit a plain SELECT opens a transaction, which would stand in the way of this
-- call, or of the session's next. On a read-only server it raises 1290, before anything can be refused by old rows.
--
-- In      nothing
-- Out     nothing
-- Errors  30003 transaction_in_progress
-- Locks   none
-- Retry   safe
-- Txn     opens one, which its caller ends; inside another it is refused and that one is left as it was
CREATE PROCEDURE begin_transaction()
COMMENT 'start the READ COMMITTED transaction that a procedure owns'
BEGIN
    -- START TRANSACTION alone would commit the caller's work. SET TRANSACTION refuses to run inside a
    -- transaction (1568) and changes nothing: that is the guard, so no handler around it may roll back.
    DECLARE EXIT HANDLER FOR 1568
        CALL raise_error(30003);

    IF @@GLOBAL.read_only THEN
        CALL raise_read_only();
    END IF;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;
END
