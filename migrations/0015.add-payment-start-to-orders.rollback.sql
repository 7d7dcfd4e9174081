ALTER TABLE orders DROP COLUMN payment_started_at;
