CREATE TABLE refund_lines (
    refund_id BIGINT NOT NULL,
    hold_id BIGINT NOT NULL COMMENT 'names the line of the order',
    quantity INT NOT NULL COMMENT 'units',
    PRIMARY KEY (refund_id, hold_id),
    CONSTRAINT refund_lines_quantity_positive CHECK (quantity >= 1)
) COMMENT = 'the units of each refund, one row per line of its order';
