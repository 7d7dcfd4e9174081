-- Finds the earlier events of a payment: another success is the same money told twice.
ALTER TABLE payment_events
ADD KEY payment_events_by_payment (payment_id, order_id),
ALGORITHM = INPLACE, LOCK = NONE;
