ALTER TABLE stock DROP COLUMN archived_at;
