-- get_payment: read one payment event.
--
-- In      in_idempotency_key  VARCHAR(1024)  the event's key
-- Out     one row: event_id, order_id, status (see payment_statuses), outcome (waiting, applied, ignored, refund_due,
--         orphaned), received_at (DATETIME(6), UTC), refund_settled_at (DATETIME, UTC; NULL: not settled),
--         payment_id (text; NULL: not named), amount (DECIMAL; NULL: not named), refund_reason (see refunds_due;
--         NULL: no refund was due when the event was settled), review_settled_at (DATETIME, UTC; NULL: not settled),
--         currency (of the amount, three letters; NULL: the shop's)
-- Errors  30401 payment_not_found
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_payment(IN in_idempotency_key VARCHAR(1024))
COMMENT 'read one payment event'
BEGIN
    DECLARE v_key VARBINARY(4096) DEFAULT CAST(in_idempotency_key AS BINARY);
    DECLARE v_found BIGINT;
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT COUNT(*) INTO v_found FROM payment_events WHERE idempotency_key = v_key;
    IF v_found = 0 THEN
        CALL end_read(v_is_own);
        CALL raise_error(30401);
    END IF;
    SELECT
        event_.id AS event_id,
        event_.order_id,
        event_.status,
        current_outcome(event_.outcome, event_.received_at) AS outcome,
        event_.received_at,
        event_.refund_settled_at,
        CONVERT(event_.payment_id USING utf8mb4) AS payment_id,
        event_.amount,
        event_.refund_reason,
        review.settled_at AS review_settled_at,
        event_.currency
    FROM payment_events AS event_
    LEFT JOIN payment_reviews AS review ON review.event_id = event_.id
    WHERE event_.idempotency_key = v_key;
    CALL end_read(v_is_own);
END
