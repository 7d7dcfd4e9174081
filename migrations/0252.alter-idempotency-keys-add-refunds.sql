ALTER TABLE idempotency_keys
    MODIFY COLUMN operation ENUM('hold', 'order', 'refund') NOT NULL,
    MODIFY COLUMN fingerprint VARBINARY(255) NOT NULL
        COMMENT 'the request, as the routine that records it writes it; SHA-256 where it is long',
    MODIFY COLUMN result_id BIGINT NOT NULL COMMENT 'hold, order or refund',
    MODIFY COLUMN result_status ENUM('pending', 'paid', 'cancelled', 'refunded') NULL
        COMMENT 'of an order, or of the order of a refund, as first answered',
    ALGORITHM = INSTANT;
