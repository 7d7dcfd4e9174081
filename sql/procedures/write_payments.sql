-- write_payments: record the chosen payment events of a round with their outcomes and commit, or leave them all open.
--
-- The creator of an unknown order cannot see the waiting events of this transaction before its COMMIT. Therefore they
-- are settled once more behind it, under the order's lock: whichever of the two comes second finds both the event and
-- the order.
--
-- In      in_events       JSON           as apply_payments
--         in_order_ids    JSON           array of the distinct orders of chosen and redelivered events
--         in_has_reports  BOOLEAN        whether a chosen event reports a refund or a dispute
-- InOut   io_verdicts     VARCHAR(1000)  chosen (+) become accepted (a), or open (.) where another session was faster
--         io_touched      JSON           products whose stock has returned are added
-- Errors  30003 transaction_in_progress
-- Locks   orders by primary key, payment events by their keys, ascending, then as apply_outcomes; until COMMIT
-- Retry   safe: an event is recorded once
-- Txn     ends the caller's; then one of its own if an order was unknown
CREATE PROCEDURE write_payments(
    IN in_events JSON,
    IN in_order_ids JSON,
    IN in_has_reports BOOLEAN,
    INOUT io_verdicts VARCHAR(1000),
    INOUT io_touched JSON
)
COMMENT 'record the chosen payment events of a round with their outcomes and commit, or leave them all open'
BEGIN
    DECLARE v_locked_ids JSON;
    DECLARE v_is_any_unknown BOOLEAN;
    DECLARE v_outcomes VARCHAR(1000);
    DECLARE v_received_at DATETIME(6);
    DECLARE v_products JSON;

    -- Another session has recorded one of the keys since they were looked up.
    DECLARE EXIT HANDLER FOR 1062
    BEGIN
        ROLLBACK;
        SET io_verdicts = REPLACE(io_verdicts, '+', '.');
    END;

    CALL lock_existing_orders(in_order_ids, v_locked_ids);
    SET v_is_any_unknown = JSON_LENGTH(v_locked_ids) < JSON_LENGTH(in_order_ids);
    CALL settle_orders(v_locked_ids, v_products);
    SET io_touched = JSON_MERGE_PRESERVE(io_touched, v_products);

    IF LOCATE('+', io_verdicts) > 0 THEN
        CALL decide_outcomes(in_events, io_verdicts, IF(v_is_any_unknown, v_locked_ids, NULL), v_outcomes);
        -- received_at keeps the arrival order, one microsecond per event.
        SET v_received_at = UTC_TIMESTAMP(6);
        INSERT INTO payment_events
            (idempotency_key, order_id, status, payment_id, amount, currency, outcome, refund_reason, received_at)
        SELECT
            CAST(request.idempotency_key AS BINARY) AS key_bytes,
            request.order_id,
            known.status,
            CAST(request.payment_id AS BINARY),
            request.amount,
            request.currency,
            CASE SUBSTRING(v_outcomes, request.position, 1)
                WHEN 'P' THEN 'applied' WHEN 'C' THEN 'applied' WHEN 'W' THEN 'waiting' WHEN 'I' THEN 'ignored'
                ELSE 'refund_due'
            END,
            CASE SUBSTRING(v_outcomes, request.position, 1)
                WHEN 'L' THEN 'too_late' WHEN 'T' THEN 'paid_twice' WHEN 'M' THEN 'wrong_amount'
            END,
            v_received_at + INTERVAL request.position MICROSECOND
        FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            idempotency_key VARCHAR(255) PATH '$.idempotency_key',
            order_id BIGINT PATH '$.order_id',
            status VARCHAR(16) PATH '$.status',
            payment_id VARCHAR(255) PATH '$.payment_id',
            amount DECIMAL(20, 2) PATH '$.amount',
            currency CHAR(3) PATH '$.currency'
        )) AS request
        STRAIGHT_JOIN payment_statuses AS known ON known.word = CAST(request.status AS BINARY)
        WHERE SUBSTRING(io_verdicts, request.position, 1) = '+'
        ORDER BY key_bytes;
        CALL apply_outcomes(in_events, v_outcomes, in_has_reports, io_touched);
    END IF;
    COMMIT;

    IF v_is_any_unknown THEN
        CALL begin_transaction();
        CALL lock_existing_orders(in_order_ids, v_locked_ids);
        CALL settle_orders(v_locked_ids, v_products);
        SET io_touched = JSON_MERGE_PRESERVE(io_touched, v_products);
        COMMIT;
    END IF;
    SET io_verdicts = REPLACE(io_verdicts, '+', 'a');
END
