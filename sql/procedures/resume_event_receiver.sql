-- resume_event_receiver: go on with the deliveries to a receiver where they stopped.
--
-- Events that were purged meanwhile are not delivered.
--
-- In      in_receiver_id  BIGINT
-- Out     one row: receiver_id, state (active)
-- Errors  30003 transaction_in_progress, 30502 event_receiver_not_found
-- Locks   the receiver; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE resume_event_receiver(IN in_receiver_id BIGINT)
COMMENT 'go on with the deliveries to a receiver where they stopped'
BEGIN
    CALL change_receiver_state(in_receiver_id, 'active');
END
