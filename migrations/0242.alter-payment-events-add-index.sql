-- Finds the earlier events of a payment: another success reports the same payment again.
ALTER TABLE payment_events
ADD KEY payment_events_by_payment (payment_id, order_id),
ALGORITHM = INPLACE, LOCK = NONE;
