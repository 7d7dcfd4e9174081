-- settle_review: record that an operator has reviewed a payment event.
--
-- In      in_idempotency_key  VARCHAR(1024)  key of the payment event
-- Out     one row: event_id, order_id, review_settled_at (DATETIME, UTC), replayed (1: was settled before)
-- Errors  30003 transaction_in_progress, 30401 payment_not_found, 30403 review_not_due
-- Locks   the event's review; until COMMIT
-- Retry   safe: a settled review stays settled
-- Txn     its own; refused inside another
CREATE PROCEDURE settle_review(IN in_idempotency_key VARCHAR(1024))
COMMENT 'record that an operator has reviewed a payment event'
BEGIN
    DECLARE v_event_id BIGINT;
    DECLARE v_review_id BIGINT;
    DECLARE v_settled_at DATETIME;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SELECT id INTO v_event_id FROM payment_events WHERE idempotency_key = CAST(in_idempotency_key AS BINARY);
        IF v_event_id IS NULL THEN
            CALL raise_error(30401);
        END IF;
        SELECT event_id, settled_at INTO v_review_id, v_settled_at
        FROM payment_reviews
        WHERE event_id = v_event_id
        FOR UPDATE;
        IF v_review_id IS NULL THEN
            CALL raise_error(30403);
        END IF;

        UPDATE payment_reviews
        SET settled_at = UTC_TIMESTAMP(), settled_by = USER()
        WHERE event_id = v_event_id AND settled_at IS NULL;
        COMMIT;
    END;
    SELECT event_.id AS event_id, event_.order_id, review.settled_at AS review_settled_at,
        v_settled_at IS NOT NULL AS replayed
    FROM payment_events AS event_
    INNER JOIN payment_reviews AS review ON review.event_id = event_.id
    WHERE event_.id = v_event_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
