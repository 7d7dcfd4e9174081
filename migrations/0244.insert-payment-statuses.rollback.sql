DELETE FROM payment_statuses;
