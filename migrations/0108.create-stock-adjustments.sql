CREATE TABLE stock_adjustments (
    id BIGINT NOT NULL AUTO_INCREMENT,
    product_id BIGINT NOT NULL,
    quantity BIGINT NOT NULL COMMENT 'units added, negative when removed',
    reason VARCHAR(255) NOT NULL,
    account VARCHAR(288) NOT NULL COMMENT 'who called',
    adjusted_at DATETIME NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    KEY stock_adjustments_by_product (product_id)
) COMMENT = 'each change of a total, with its reason';
