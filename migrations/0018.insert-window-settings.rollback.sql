DELETE FROM settings WHERE name IN ('hold_extension_s', 'payment_started_ttl_s');
