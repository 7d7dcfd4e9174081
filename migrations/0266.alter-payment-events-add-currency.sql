ALTER TABLE payment_events
ADD COLUMN currency CHAR(3) NULL COMMENT 'of the amount, where it is not the shop''s',
ALGORITHM = INSTANT;
