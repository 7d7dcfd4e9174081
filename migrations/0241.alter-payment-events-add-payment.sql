-- Statuses beyond success and failure; the provider's name of the payment, its amount, and why money is due back.
-- Nothing reads recorded_by any more.
ALTER TABLE payment_events
MODIFY COLUMN status ENUM(
    'success', 'failure', 'declined', 'pending', 'processing', 'authorized', 'refunded', 'disputed'
) NOT NULL COMMENT 'as payment_statuses maps the word that was delivered',
ADD COLUMN payment_id VARBINARY(255) NULL COMMENT 'the provider''s name of the payment; NULL: not named',
ADD COLUMN amount DECIMAL(20, 2) NULL COMMENT 'of the payment; NULL: not named',
ADD COLUMN refund_reason ENUM('too_late', 'paid_twice', 'wrong_amount') NULL
COMMENT 'decided with the outcome refund_due',
ALTER COLUMN recorded_by SET DEFAULT 0,
ALGORITHM = INSTANT;
