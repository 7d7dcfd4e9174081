-- apply_outcomes: pay and cancel orders as their payment events decided, and register what needs a person.
--
-- In      in_events       JSON           as apply_payments, recorded
--         in_outcomes     VARCHAR(1000)  one letter per event (see decide_outcomes)
--         in_has_reports  BOOLEAN        whether an event may report a refund or a dispute
-- InOut   io_touched      JSON           products whose stock has returned are added
-- Errors  none
-- Locks   the events whose refunds the batch reports, then stock, each by primary key, ascending; until the caller's
--         COMMIT; the orders are locked already
-- Retry   no: it adds stock
-- Txn     the caller's
CREATE PROCEDURE apply_outcomes(
    IN in_events JSON, IN in_outcomes VARCHAR(1000), IN in_has_reports BOOLEAN, INOUT io_touched JSON
)
COMMENT 'pay and cancel orders as their payment events decided, and register what needs a person'
BEGIN
    DECLARE v_cancelled_ids JSON;
    DECLARE v_returned JSON;

    UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
    JSON_TABLE(in_events, '$[*]' COLUMNS (position FOR ORDINALITY, order_id BIGINT PATH '$.order_id')) AS event_
    STRAIGHT_JOIN orders AS order_ ON order_.id = event_.order_id
    SET
        order_.status = IF(SUBSTRING(in_outcomes, event_.position, 1) = 'P', 'paid', 'cancelled'),
        order_.paid_at = IF(SUBSTRING(in_outcomes, event_.position, 1) = 'P', UTC_TIMESTAMP(), NULL)
    WHERE SUBSTRING(in_outcomes, event_.position, 1) IN ('P', 'C');

    INSERT /*+ SET_VAR(group_concat_max_len = 65536) */ INTO events
        (type, order_id, hold_ids, caller, occurred_at, reason, amount, payment_id)
    SELECT
        CASE outcome.letter WHEN 'P' THEN 'order.paid' WHEN 'C' THEN 'order.cancelled' ELSE 'refund.due' END,
        order_.id,
        IF(
            order_.product_id IS NULL,
            (
                SELECT CONCAT('[', GROUP_CONCAT(line.hold_id ORDER BY line.hold_id), ']')
                FROM order_lines AS line
                WHERE line.order_id = order_.id
            ),
            CONCAT('[', order_.hold_id, ']') -- the order has one line
        ),
        order_.caller,
        UTC_TIMESTAMP(),
        CASE outcome.letter
            WHEN 'C' THEN 'payment_failed' WHEN 'L' THEN 'too_late' WHEN 'T' THEN 'paid_twice'
            WHEN 'M' THEN 'wrong_amount'
        END,
        IF(outcome.letter IN ('P', 'C'), NULL, COALESCE(outcome.amount, order_.amount)),
        IF(outcome.letter IN ('P', 'C'), NULL, CAST(outcome.payment_id AS BINARY))
    FROM (
        SELECT position, SUBSTRING(in_outcomes, position, 1) AS letter, order_id, payment_id, amount
        FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            order_id BIGINT PATH '$.order_id',
            payment_id VARCHAR(255) PATH '$.payment_id',
            amount DECIMAL(20, 2) PATH '$.amount'
        )) AS event_
    ) AS outcome
    STRAIGHT_JOIN orders AS order_ ON order_.id = outcome.order_id
    WHERE outcome.letter IN ('P', 'C', 'L', 'T', 'M')
    ORDER BY outcome.position;

    IF in_has_reports OR LOCATE('M', in_outcomes) > 0 THEN
        CALL register_reports(in_events, in_outcomes);
    END IF;

    IF LOCATE('C', in_outcomes) > 0 THEN
        SELECT JSON_ARRAYAGG(event_.order_id) INTO v_cancelled_ids
        FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
            position FOR ORDINALITY, order_id BIGINT PATH '$.order_id'
        )) AS event_
        WHERE SUBSTRING(in_outcomes, event_.position, 1) = 'C';
        CALL read_order_lines(v_cancelled_ids, v_returned);
        CALL return_stock(v_returned);
        SET io_touched = JSON_MERGE_PRESERVE(io_touched, JSON_EXTRACT(v_returned, '$[*].product_id'));
    END IF;
END
