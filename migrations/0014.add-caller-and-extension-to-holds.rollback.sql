ALTER TABLE holds DROP COLUMN caller, DROP COLUMN is_extended;
