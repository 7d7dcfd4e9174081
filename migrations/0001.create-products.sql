-- What is sold. Hot stock figures live apart, in `stock`.
CREATE TABLE products (
    id BIGINT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255) NOT NULL,
    price DECIMAL(12, 2) NOT NULL,
    maximum_per_hold BIGINT NULL COMMENT 'units; NULL: no maximum',
    PRIMARY KEY (id),
    CONSTRAINT products_price_not_negative CHECK (price >= 0),
    CONSTRAINT products_maximum_positive CHECK (maximum_per_hold >= 1)
) COMMENT = 'what is sold';
