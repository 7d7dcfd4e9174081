-- remove_event_receiver: delete a receiver and the events that it has not accepted.
--
-- In      in_receiver_id  BIGINT
-- Out     one row: receiver_id, events_dropped (that were retried or set aside)
-- Errors  30003 transaction_in_progress, 30502 event_receiver_not_found
-- Locks   the receiver, then its retries; until COMMIT
-- Retry   safe: once deleted, it is not found
-- Txn     its own; refused inside another
CREATE PROCEDURE remove_event_receiver(IN in_receiver_id BIGINT)
COMMENT 'delete a receiver and the events that it has not accepted'
BEGIN
    DECLARE v_events BIGINT;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        DELETE FROM event_receivers WHERE id = in_receiver_id;
        IF ROW_COUNT() = 0 THEN
            CALL raise_error(30502);
        END IF;
        DELETE FROM event_retries WHERE receiver_id = in_receiver_id;
        SET v_events = ROW_COUNT();
        COMMIT;
    END;
    SELECT in_receiver_id AS receiver_id, v_events AS events_dropped;
END
