-- The key is kept here as well, because idempotency_keys is purged.
CREATE TABLE refunds (
    id BIGINT NOT NULL AUTO_INCREMENT,
    order_id BIGINT NOT NULL,
    amount DECIMAL(20, 2) NOT NULL COMMENT 'the sum of quantity times unit_price over its lines',
    is_restocked BOOLEAN NOT NULL COMMENT 'its units became available; otherwise they left the total',
    caller VARBINARY(64) NOT NULL COMMENT 'who asked for it; empty where no API keys are used',
    idempotency_key VARBINARY(255) NOT NULL,
    account VARCHAR(288) NOT NULL COMMENT 'who called',
    refunded_at DATETIME NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    KEY refunds_by_order (order_id)
) COMMENT = 'refunds of paid orders; the money moves at the payment provider';
