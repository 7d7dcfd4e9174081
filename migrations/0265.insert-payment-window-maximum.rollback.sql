DELETE FROM settings WHERE name = 'payment_window_maximum_s';
