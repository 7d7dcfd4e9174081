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
        UPDATE event_receivers SET state = 'paused', failed_batches = 0, resumes_at = NULL WHERE id = v_receiver_id;
        COMMIT;
    END;
    SELECT v_receiver_id AS receiver_id, 'paused' AS state;
END
