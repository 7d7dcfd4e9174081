DELETE FROM schema_release;
