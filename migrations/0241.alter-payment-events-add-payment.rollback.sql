ALTER TABLE payment_events
MODIFY COLUMN status ENUM('success', 'failure') NOT NULL,
DROP COLUMN payment_id, DROP COLUMN amount, DROP COLUMN refund_reason,
ALTER COLUMN recorded_by DROP DEFAULT;
