-- current_outcome: return the current outcome of a payment event.
--
-- A waiting event counts as orphaned once its time has passed, even before that is stored.
--
-- In      in_outcome      VARCHAR(16)  as stored
--         in_received_at  DATETIME(6)  UTC
-- Out     VARCHAR(16)
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE FUNCTION current_outcome(in_outcome VARCHAR(16), in_received_at DATETIME(6))
RETURNS VARCHAR(16)
READS SQL DATA
COMMENT 'return the current outcome of a payment event'
BEGIN
    IF in_outcome = 'waiting' THEN
        IF in_received_at <= UTC_TIMESTAMP(6) - INTERVAL setting('waiting_payment_ttl_s') SECOND THEN
            RETURN 'orphaned';
        END IF;
    END IF;
    RETURN in_outcome;
END
