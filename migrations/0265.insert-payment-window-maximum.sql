INSERT INTO settings (name, value, minimum, maximum, description) VALUES
('payment_window_maximum_s', 1800, 1, 2592000, 'most seconds that window_s may give one order for its payment');
