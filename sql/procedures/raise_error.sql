-- raise_error: SIGNAL an error of the registry.
--
-- In      in_errno  INT  a number of the registry below
-- Out     never returns
-- Errors  in_errno, as SQLSTATE 45000 with the slug as MESSAGE_TEXT
-- Locks   none
-- Retry   not applicable
-- Txn     none
CREATE PROCEDURE raise_error(IN in_errno INT)
COMMENT 'SIGNAL an error of the registry'
BEGIN
    DECLARE v_slug VARCHAR(64) DEFAULT CASE in_errno
        WHEN 30001 THEN 'invalid_request'
        WHEN 30002 THEN 'idempotency_key_reused'
        WHEN 30003 THEN 'transaction_in_progress'
        WHEN 30101 THEN 'product_not_found'
        WHEN 30102 THEN 'insufficient_stock'
        WHEN 30103 THEN 'quantity_out_of_range'
        WHEN 30104 THEN 'sale_not_open'
        WHEN 30105 THEN 'customer_limit_reached'
        WHEN 30106 THEN 'customer_id_required'
        WHEN 30107 THEN 'product_archived'
        WHEN 30201 THEN 'hold_not_found'
        WHEN 30202 THEN 'hold_expired'
        WHEN 30203 THEN 'hold_already_used'
        WHEN 30204 THEN 'hold_released'
        WHEN 30301 THEN 'order_not_found'
        WHEN 30302 THEN 'order_already_paid'
        WHEN 30303 THEN 'order_cancelled'
        WHEN 30304 THEN 'order_not_paid'
        WHEN 30305 THEN 'refund_exceeds_order'
        WHEN 30401 THEN 'payment_not_found'
        WHEN 30402 THEN 'refund_not_due'
        WHEN 30403 THEN 'review_not_due'
        WHEN 30501 THEN 'events_purged'
        WHEN 30502 THEN 'event_receiver_not_found'
        WHEN 30503 THEN 'event_retry_not_found'
    END;

    SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = in_errno, MESSAGE_TEXT = v_slug;
END
