ALTER TABLE holds DROP COLUMN unit_price;
