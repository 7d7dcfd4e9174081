INSERT INTO settings (name, value, minimum, maximum, description) VALUES
('hold_extension_s', 60, 1, 86400, 'seconds that an extension adds to a hold, once'),
('payment_started_ttl_s', 1800, 1, 604800, 'seconds that an order may wait once the buyer is paying');
