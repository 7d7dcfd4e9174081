-- One row per hold of an order. A hold becomes part of at most one order.
CREATE TABLE order_lines (
    order_id BIGINT NOT NULL,
    hold_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    quantity INT NOT NULL COMMENT 'units',
    unit_price DECIMAL(12, 2) NOT NULL COMMENT 'the hold''s',
    refunded_quantity INT NOT NULL DEFAULT 0 COMMENT 'units',
    PRIMARY KEY (order_id, hold_id),
    UNIQUE KEY order_lines_by_hold (hold_id),
    CONSTRAINT order_lines_quantity_positive CHECK (quantity >= 1),
    CONSTRAINT order_lines_refunded_within_quantity CHECK (refunded_quantity BETWEEN 0 AND quantity)
) COMMENT = 'what was ordered, one row per hold';
