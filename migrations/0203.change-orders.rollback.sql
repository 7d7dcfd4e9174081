ALTER TABLE orders
    DROP KEY orders_by_customer,
    DROP KEY orders_by_caller,
    DROP COLUMN paid_at,
    DROP COLUMN customer_id,
    DROP COLUMN caller,
    MODIFY COLUMN status ENUM('pending', 'paid', 'cancelled') NOT NULL DEFAULT 'pending',
    MODIFY COLUMN amount DECIMAL(20, 2) NOT NULL COMMENT 'quantity times the price at order time',
    MODIFY COLUMN quantity INT NOT NULL COMMENT 'units',
    MODIFY COLUMN product_id BIGINT NOT NULL,
    MODIFY COLUMN hold_id BIGINT NOT NULL;
