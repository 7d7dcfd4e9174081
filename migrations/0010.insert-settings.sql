INSERT INTO settings (name, value, minimum, maximum, description) VALUES
('hold_ttl_s', 120, 1, 86400, 'seconds that a hold lives'),
('payment_ttl_s', 900, 1, 604800, 'seconds that an order may wait for its payment'),
('client_key_ttl_s', 86400, 86400, 31536000, 'seconds that a client''s idempotency key lives'),
('made_key_ttl_s', 600, 60, 86400, 'seconds that an idempotency key made by the service lives'),
('waiting_payment_ttl_s', 86400, 1, 31536000, 'seconds that a payment event waits for its order before it is orphaned'),
('history_ttl_s', 2592000, 86400, 315360000, 'seconds that expired, released and cancelled rows are kept');
