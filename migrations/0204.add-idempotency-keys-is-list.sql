ALTER TABLE idempotency_keys
    MODIFY COLUMN fingerprint VARBINARY(255) NOT NULL
        COMMENT 'the request: product:quantity:customer, or the hold, or the SHA-256 of several holds',
    ADD COLUMN is_list BOOLEAN NULL COMMENT 'of an order: its request named hold_ids',
    ALGORITHM = INSTANT;
