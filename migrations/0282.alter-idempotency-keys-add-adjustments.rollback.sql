ALTER TABLE idempotency_keys
    DROP COLUMN result_available,
    DROP COLUMN result_total,
    MODIFY COLUMN result_id BIGINT NOT NULL COMMENT 'hold, order or refund',
    MODIFY COLUMN operation ENUM('hold', 'order', 'refund') NOT NULL;
