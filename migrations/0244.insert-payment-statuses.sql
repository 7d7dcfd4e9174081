INSERT INTO payment_statuses (word, status) VALUES
('success', 'success'),
('failure', 'failure'),
('failed', 'failure'),
('expired', 'failure'),
('cancelled', 'failure'),
('canceled', 'failure'),
('declined', 'declined'),
('pending', 'pending'),
('processing', 'processing'),
('authorized', 'authorized'),
('refunded', 'refunded'),
('disputed', 'disputed');
