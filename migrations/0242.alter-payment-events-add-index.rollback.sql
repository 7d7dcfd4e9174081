ALTER TABLE payment_events DROP KEY payment_events_by_payment;
