-- A key is bytes: a collation would treat abc, ABC and ábc as equal.
CREATE TABLE idempotency_keys (
    operation ENUM('hold', 'order') NOT NULL,
    caller VARBINARY(64) NOT NULL DEFAULT '' COMMENT 'empty where no API keys are used',
    idempotency_key VARBINARY(255) NOT NULL,
    fingerprint VARBINARY(255) NOT NULL COMMENT 'the request: product:quantity:customer, or the hold',
    result_id BIGINT NOT NULL COMMENT 'hold or order',
    result_expires_at DATETIME NULL COMMENT 'of a hold, as first answered',
    result_status ENUM('pending', 'paid', 'cancelled') NULL COMMENT 'of an order, as first answered',
    purge_after DATETIME NOT NULL COMMENT 'UTC',
    PRIMARY KEY (operation, caller, idempotency_key),
    KEY idempotency_keys_by_purge (purge_after)
) COMMENT = 'accepted requests and their first answers';
