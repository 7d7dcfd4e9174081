ALTER TABLE orders
ADD COLUMN payment_started_at DATETIME COMMENT 'UTC; when the client said that its buyer is paying';
