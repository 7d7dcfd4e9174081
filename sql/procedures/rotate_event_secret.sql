-- rotate_event_secret: give a receiver a new secret.
--
-- For a day each event is signed with both secrets, so that the receiver can be changed meanwhile.
--
-- In      in_receiver_id  BIGINT
-- Out     one row: receiver_id, secret (shown here and never again)
-- Errors  30003 transaction_in_progress, 30502 event_receiver_not_found
-- Locks   the receiver; until COMMIT
-- Retry   no: it makes another secret; the one before the last is lost
-- Txn     its own; refused inside another
CREATE PROCEDURE rotate_event_secret(IN in_receiver_id BIGINT)
COMMENT 'give a receiver a new secret'
BEGIN
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        UPDATE event_receivers
        SET
            previous_secret = secret,
            secret = CONCAT('whsec_', TO_BASE64(RANDOM_BYTES(32))),
            rotated_at = UTC_TIMESTAMP()
        WHERE id = in_receiver_id;
        IF ROW_COUNT() = 0 THEN
            CALL raise_error(30502);
        END IF;
        COMMIT;
    END;
    SELECT id AS receiver_id, secret FROM event_receivers WHERE id = in_receiver_id;

    COMMIT; -- the transaction that the SELECT above may have opened, see begin_transaction
END
