-- product_id and quantity stay for routines of release 0.9, which know orders of one hold only.
-- caller is NULL in orders that release 0.9 made and that no deploy has given their lines yet.
ALTER TABLE orders
    MODIFY COLUMN hold_id BIGINT NOT NULL COMMENT 'the first of its holds; order_lines has all of them',
    MODIFY COLUMN product_id BIGINT NULL COMMENT 'NULL with several lines',
    MODIFY COLUMN quantity INT NULL COMMENT 'units; NULL with several lines',
    MODIFY COLUMN amount DECIMAL(20, 2) NOT NULL COMMENT 'the sum of quantity times unit_price over its lines',
    MODIFY COLUMN status ENUM('pending', 'paid', 'cancelled', 'refunded') NOT NULL DEFAULT 'pending',
    ADD COLUMN caller VARBINARY(64) NULL COMMENT 'who made its holds; empty where no API keys are used',
    ADD COLUMN customer_id VARBINARY(64) NULL COMMENT 'whom its holds name; NULL: nobody',
    ADD COLUMN paid_at DATETIME NULL COMMENT 'UTC; NULL: not paid',
    ADD KEY orders_by_caller (caller),
    ADD KEY orders_by_customer (customer_id),
    ALGORITHM = INPLACE,
    LOCK = NONE;
