-- Stock figures, which change with each hold, are in the table stock.
CREATE TABLE products (
    id BIGINT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255) NOT NULL,
    price DECIMAL(12, 2) NOT NULL,
    maximum_per_hold BIGINT NULL COMMENT 'units; NULL: no maximum',
    maximum_per_customer BIGINT NULL COMMENT 'units; NULL: no maximum',
    starts_at DATETIME NULL COMMENT 'UTC; holds are accepted from this second on; NULL: at once',
    ends_at DATETIME NULL COMMENT 'UTC; holds are refused from this second on; NULL: the sale does not end',
    PRIMARY KEY (id),
    CONSTRAINT products_price_not_negative CHECK (price >= 0),
    CONSTRAINT products_maximum_positive CHECK (maximum_per_hold >= 1),
    CONSTRAINT products_customer_maximum_positive CHECK (maximum_per_customer >= 1),
    CONSTRAINT products_window_not_empty CHECK (starts_at < ends_at)
) COMMENT = 'products on sale';
