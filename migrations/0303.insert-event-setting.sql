INSERT INTO settings (name, value, minimum, maximum, description) VALUES
('event_ttl_s', 2592000, 604800, 315360000, 'seconds that events are kept');
