ALTER TABLE idempotency_keys
    MODIFY COLUMN operation ENUM('hold', 'order', 'refund', 'adjustment') NOT NULL,
    MODIFY COLUMN fingerprint VARBINARY(255) NOT NULL
        COMMENT 'the request, as the routine that records it writes it; SHA-256 where it is long',
    MODIFY COLUMN result_id BIGINT NOT NULL COMMENT 'hold, order, refund or adjustment',
    ADD COLUMN result_total BIGINT NULL COMMENT 'units after an adjustment, as first answered',
    ADD COLUMN result_available BIGINT NULL COMMENT 'units after an adjustment, as first answered',
    ALGORITHM = INSTANT;
