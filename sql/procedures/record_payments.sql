-- record_payments: insert the events of a batch, each key once, and separate new events from redeliveries.
--
-- In      in_events    JSON           as apply_payments
-- InOut   io_verdicts  VARCHAR(1000)  open letters (.) become a recorded now, r redelivered, k reused
-- Errors  none
-- Locks   payment events by their keys, ascending; until COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE record_payments(IN in_events JSON, INOUT io_verdicts VARCHAR(1000))
COMMENT 'insert the events of a batch, each key once, and separate new events from redeliveries'
record: BEGIN
    DECLARE v_received_at DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
    DECLARE v_last_event_id BIGINT;

    SELECT COALESCE(MAX(id), 0) INTO v_last_event_id FROM payment_events;

    -- In the order of keys, so that two batches with common keys cannot deadlock. received_at keeps the arrival order,
    -- one microsecond per event. IGNORE skips a key that another session has just recorded.
    INSERT IGNORE INTO payment_events (idempotency_key, order_id, status, received_at, recorded_by)
    SELECT
        CAST(request.idempotency_key AS BINARY) AS key_bytes,
        request.order_id,
        IF(request.status = 'failed', 'failure', request.status),
        v_received_at + INTERVAL request.position MICROSECOND,
        CONNECTION_ID()
    FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        idempotency_key VARCHAR(255) PATH '$.idempotency_key',
        order_id BIGINT PATH '$.order_id',
        status VARCHAR(16) PATH '$.status'
    )) AS request
    LEFT JOIN payment_events AS recorded ON recorded.idempotency_key = CAST(request.idempotency_key AS BINARY)
    WHERE recorded.id IS NULL AND SUBSTRING(io_verdicts, request.position, 1) = '.'
    ORDER BY key_bytes, request.position;

    -- Nearly always all of them are new.
    IF ROW_COUNT() = JSON_LENGTH(in_events) THEN
        SET io_verdicts = REPLACE(io_verdicts, '.', 'a');
        LEAVE record;
    END IF;

    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        COALESCE(GROUP_CONCAT(
            CASE
                WHEN SUBSTRING(io_verdicts, request.position, 1) = 'i' THEN 'i'
                WHEN recorded.order_id <> request.order_id
                    OR recorded.status <> IF(request.status = 'failed', 'failure', request.status) THEN 'k'
                WHEN recorded.id > v_last_event_id AND recorded.recorded_by = CONNECTION_ID()
                    AND recorded.received_at = v_received_at + INTERVAL request.position MICROSECOND THEN 'a'
                ELSE 'r'
            END
            ORDER BY request.position SEPARATOR ''
        ), '')
    INTO io_verdicts
    FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
        position FOR ORDINALITY,
        idempotency_key VARCHAR(255) PATH '$.idempotency_key',
        order_id BIGINT PATH '$.order_id',
        status VARCHAR(16) PATH '$.status'
    )) AS request
    LEFT JOIN payment_events AS recorded ON recorded.idempotency_key = CAST(request.idempotency_key AS BINARY);
END
