-- resolve_orders: add order_id to those events of a batch that name only their payment.
--
-- The order is that of the same event's first delivery, else that of the payment's latest event. An event whose payment
-- nobody has reported stays without order_id.
--
-- In      nothing
-- InOut   io_events  JSON  as apply_payments
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE resolve_orders(INOUT io_events JSON)
COMMENT 'add order_id to those events of a batch that name only their payment'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 67108864) */
        CONCAT('[', GROUP_CONCAT(
            IF(order_id IS NULL, COALESCE(element, 'null'), JSON_SET(element, '$.order_id', order_id))
            ORDER BY position
        ), ']')
    INTO io_events
    FROM (
        SELECT /*+ NO_MERGE(resolved) */
            request.position,
            request.element,
            IF(request.order_type IS NOT NULL OR request.payment_id IS NULL, NULL, COALESCE(
                recorded.order_id,
                (
                    SELECT earlier.order_id
                    FROM payment_events AS earlier FORCE INDEX (payment_events_by_payment)
                    WHERE earlier.payment_id = CAST(request.payment_id AS BINARY)
                    ORDER BY earlier.received_at DESC, earlier.id DESC
                    LIMIT 1
                )
            )) AS order_id
        FROM JSON_TABLE(io_events, '$[*]' COLUMNS (
            position FOR ORDINALITY,
            element JSON PATH '$',
            order_type JSON PATH '$.order_id',
            idempotency_key VARCHAR(255) PATH '$.idempotency_key',
            payment_id VARCHAR(255) PATH '$.payment_id'
        )) AS request
        LEFT JOIN payment_events AS recorded
            ON recorded.idempotency_key = CAST(request.idempotency_key AS BINARY)
    ) AS resolved;
END
