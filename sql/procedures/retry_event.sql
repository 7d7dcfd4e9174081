-- retry_event: deliver an event again that a receiver has not accepted, for another three days.
--
-- It is for events that are set aside. An event that waits for its next attempt is sent now, unless an earlier event of
-- its order is sent first.
--
-- In      in_receiver_id  BIGINT
--         in_position     BIGINT  of the event
-- Out     one row: receiver_id, position, replayed (1: it was not set aside)
-- Errors  30003 transaction_in_progress, 30502 event_receiver_not_found, 30503 event_retry_not_found
-- Locks   the receiver, then the retry; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE retry_event(IN in_receiver_id BIGINT, IN in_position BIGINT)
COMMENT 'deliver an event again that a receiver has not accepted, for another three days'
BEGIN
    DECLARE v_receiver_id BIGINT;
    DECLARE v_position BIGINT;
    DECLARE v_set_aside_at DATETIME;

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
        SELECT position, set_aside_at INTO v_position, v_set_aside_at
        FROM event_retries
        WHERE receiver_id = in_receiver_id AND position = in_position
        FOR UPDATE;
        IF v_position IS NULL THEN
            CALL raise_error(30503);
        END IF;
        UPDATE event_retries
        SET
            attempts = 0,
            moved_at = UTC_TIMESTAMP(),
            next_attempt_at = IF(v_set_aside_at IS NULL AND next_attempt_at IS NULL, NULL, UTC_TIMESTAMP()),
            set_aside_at = NULL
        WHERE receiver_id = in_receiver_id AND position = in_position;
        COMMIT;
    END;
    SELECT v_receiver_id AS receiver_id, v_position AS position, v_set_aside_at IS NULL AS replayed;
END
