DELETE FROM settings WHERE name = 'event_ttl_s';
