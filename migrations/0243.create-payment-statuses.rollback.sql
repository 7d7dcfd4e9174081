DROP TABLE payment_statuses;
