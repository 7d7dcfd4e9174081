-- register_reports: list new disputes and wrong amounts for review, and settle the refunds that new events report.
--
-- A refund is due for an earlier success of the same order under the same payment_id, whether or not the order exists.
-- A report without one, or of a settled refund, has no effect.
--
-- In      in_events    JSON           as apply_payments, recorded
--         in_outcomes  VARCHAR(1000)  one letter per event (see decide_outcomes)
-- Out     nothing
-- Errors  none
-- Locks   its own new reviews; for each refund the event that it is due for, then the one that reports it; until the
--         caller's COMMIT
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE register_reports(IN in_events JSON, IN in_outcomes VARCHAR(1000))
COMMENT 'list new disputes and wrong amounts for review, and settle the refunds that new events report'
BEGIN
    DECLARE v_reported JSON;

    INSERT IGNORE INTO payment_reviews (event_id)
    SELECT recorded.id
    FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
        position FOR ORDINALITY, idempotency_key VARCHAR(255) PATH '$.idempotency_key'
    )) AS event_
    STRAIGHT_JOIN payment_events AS recorded ON recorded.idempotency_key = CAST(event_.idempotency_key AS BINARY)
    WHERE
        SUBSTRING(in_outcomes, event_.position, 1) = 'M'
        OR (SUBSTRING(in_outcomes, event_.position, 1) IN ('I', 'W') AND recorded.status = 'disputed')
    ORDER BY recorded.id;

    SELECT JSON_ARRAYAGG(JSON_OBJECT('due_id', reported.due_id, 'report_id', reported.report_id)) INTO v_reported
    FROM (
        SELECT
            due.event_id AS due_id,
            report.id AS report_id,
            ROW_NUMBER() OVER (PARTITION BY due.event_id ORDER BY event_.position) AS number
        FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
            position FOR ORDINALITY, idempotency_key VARCHAR(255) PATH '$.idempotency_key'
        )) AS event_
        STRAIGHT_JOIN payment_events AS report
            ON report.idempotency_key = CAST(event_.idempotency_key AS BINARY) AND report.status = 'refunded'
        STRAIGHT_JOIN refunds_due AS due
            ON due.order_id = report.order_id AND CAST(due.payment_id AS BINARY) = report.payment_id
            AND due.received_at < report.received_at
        WHERE SUBSTRING(in_outcomes, event_.position, 1) IN ('I', 'W')
    ) AS reported
    WHERE reported.number = 1;

    IF v_reported IS NOT NULL THEN
        CALL orphan_waiting_payments(JSON_EXTRACT(v_reported, '$[*].due_id'));
        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(v_reported, '$[*]' COLUMNS (
            due_id BIGINT PATH '$.due_id', report_id BIGINT PATH '$.report_id'
        )) AS reported
        STRAIGHT_JOIN payment_events AS paid ON paid.id = reported.due_id AND paid.refund_settled_at IS NULL
        STRAIGHT_JOIN payment_events AS report ON report.id = reported.report_id
        SET
            paid.refund_settled_at = UTC_TIMESTAMP(),
            paid.refund_settled_by = USER(),
            report.outcome = 'applied';
    END IF;
END
