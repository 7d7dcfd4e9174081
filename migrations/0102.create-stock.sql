-- The contended row of a product. It has no other columns, so that its row image in the binary log stays small.
CREATE TABLE stock (
    product_id BIGINT NOT NULL,
    total BIGINT NOT NULL COMMENT 'units: available + held + pending + sold',
    available BIGINT NOT NULL COMMENT 'units that may be held',
    version BIGINT NOT NULL DEFAULT 1 COMMENT 'goes up with every change of the product or its stock',
    PRIMARY KEY (product_id),
    CONSTRAINT stock_available_within_total CHECK (available BETWEEN 0 AND total)
) COMMENT = 'units of each product, one row per product';
