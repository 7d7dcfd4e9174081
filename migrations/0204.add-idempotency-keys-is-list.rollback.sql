ALTER TABLE idempotency_keys
    DROP COLUMN is_list,
    MODIFY COLUMN fingerprint VARBINARY(255) NOT NULL COMMENT 'the request: product:quantity:customer, or the hold';
