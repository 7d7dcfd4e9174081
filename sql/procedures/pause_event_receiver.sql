-- pause_event_receiver: stop the deliveries to a receiver until it is resumed.
--
-- Its events wait as long as events are kept, see event_ttl_s. A batch that is under way is still delivered.
--
-- In      in_receiver_id  BIGINT
-- Out     one row: receiver_id, state (paused)
-- Errors  30003 transaction_in_progress, 30502 event_receiver_not_found
-- Locks   the receiver; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE pause_event_receiver(IN in_receiver_id BIGINT)
COMMENT 'stop the deliveries to a receiver until it is resumed'
BEGIN
    CALL change_receiver_state(in_receiver_id, 'paused');
END
