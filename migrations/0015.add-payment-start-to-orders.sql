ALTER TABLE orders
ADD COLUMN payment_started_at DATETIME COMMENT 'UTC; when the client said that the buyer is paying, which gives it longer';
