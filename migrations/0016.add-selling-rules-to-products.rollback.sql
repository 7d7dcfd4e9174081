ALTER TABLE products
DROP CONSTRAINT products_window_not_empty,
DROP CONSTRAINT products_customer_maximum_positive,
DROP COLUMN starts_at,
DROP COLUMN ends_at,
DROP COLUMN maximum_per_customer;
