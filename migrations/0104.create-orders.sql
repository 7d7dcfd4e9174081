CREATE TABLE orders (
    id BIGINT NOT NULL AUTO_INCREMENT,
    hold_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    quantity INT NOT NULL COMMENT 'units',
    amount DECIMAL(20, 2) NOT NULL COMMENT 'quantity times the price at order time',
    status ENUM('pending', 'paid', 'cancelled') NOT NULL DEFAULT 'pending',
    payment_due_at DATETIME NOT NULL COMMENT 'UTC; a pending order is cancelled from this second on',
    payment_started_at DATETIME NULL COMMENT 'UTC; when the client reported that its buyer is paying',
    PRIMARY KEY (id),
    UNIQUE KEY orders_by_hold (hold_id),
    KEY orders_by_deadline (status, payment_due_at),
    CONSTRAINT orders_quantity_positive CHECK (quantity >= 1)
) COMMENT = 'holds that were ordered; at most one order per hold';
