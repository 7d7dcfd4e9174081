-- begin_transaction: start the READ COMMITTED transaction that a procedure owns.
--
-- Every procedure with a transaction of its own calls it before it reads any table, and ends with a COMMIT after its
-- last SELECT: in a session without autocommit a plain SELECT opens a transaction, and this call or the session's next
-- one would fail. On a read-only server it raises 1290, before anything can be refused by old rows.
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
    -- START TRANSACTION alone would commit the caller's work. SET TRANSACTION fails inside a transaction (1568)
    -- and changes nothing, so it guards the caller's work as long as no handler around it rolls back.
    DECLARE EXIT HANDLER FOR 1568
        CALL raise_error(30003);

    IF @@GLOBAL.read_only THEN
        CALL raise_read_only();
    END IF;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;
END
