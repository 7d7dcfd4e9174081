ALTER TABLE products
ADD COLUMN starts_at DATETIME COMMENT 'UTC; holds are taken from this second on; NULL: at once',
ADD COLUMN ends_at DATETIME COMMENT 'UTC; no hold is taken from this second on; NULL: never ends',
ADD COLUMN maximum_per_customer BIGINT COMMENT 'units; NULL: no maximum',
ADD CONSTRAINT products_window_not_empty CHECK (starts_at < ends_at),
ADD CONSTRAINT products_customer_maximum_positive CHECK (maximum_per_customer >= 1);
