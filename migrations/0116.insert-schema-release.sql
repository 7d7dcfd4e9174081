INSERT INTO schema_release (schema_version, oldest_code) VALUES (1, 1);
