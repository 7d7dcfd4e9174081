ALTER TABLE idempotency_keys
    MODIFY COLUMN operation ENUM('hold', 'order') NOT NULL,
    MODIFY COLUMN fingerprint VARBINARY(255) NOT NULL
        COMMENT 'the request: product:quantity:customer, or the hold, or the SHA-256 of several holds',
    MODIFY COLUMN result_id BIGINT NOT NULL COMMENT 'hold or order',
    MODIFY COLUMN result_status ENUM('pending', 'paid', 'cancelled') NULL COMMENT 'of an order, as first answered';
