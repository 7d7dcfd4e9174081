-- change_receiver_state: set the state of a receiver of events, and reset its count of failed batches.
--
-- In      in_receiver_id  BIGINT
--         in_state        VARCHAR(16)  active or paused
-- Out     one row: receiver_id, state
-- Errors  30003 transaction_in_progress, 30502 event_receiver_not_found
-- Locks   the receiver; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE change_receiver_state(IN in_receiver_id BIGINT, IN in_state VARCHAR(16))
COMMENT 'set the state of a receiver of events, and reset its count of failed batches'
BEGIN
    DECLARE v_receiver_id BIGINT;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT id INTO v_receiver_id FROM event_receivers WHERE id = in_receiver_id FOR UPDATE;
        IF v_receiver_id IS NULL THEN
            CALL raise_error(30502);
        END IF;
        UPDATE event_receivers SET state = in_state, failed_batches = 0, resumes_at = NULL WHERE id = v_receiver_id;
        COMMIT;
    END;
    SELECT v_receiver_id AS receiver_id, in_state AS state;
END
