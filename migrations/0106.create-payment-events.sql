-- Each distinct event is recorded before it takes effect.
CREATE TABLE payment_events (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'arrival order',
    idempotency_key VARBINARY(255) NOT NULL COMMENT 'the event''s own key: bytes, no collation',
    order_id BIGINT NOT NULL COMMENT 'may not exist yet',
    status ENUM('success', 'failure') NOT NULL,
    outcome ENUM('waiting', 'applied', 'ignored', 'refund_due', 'orphaned') NOT NULL DEFAULT 'waiting',
    received_at DATETIME(6) NOT NULL COMMENT 'UTC',
    recorded_by INT UNSIGNED NOT NULL COMMENT 'connection id: tells the first delivery from a redelivery',
    refund_settled_at DATETIME NULL COMMENT 'UTC; when an operator settled the refund',
    refund_settled_by VARCHAR(288) NULL COMMENT 'account',
    PRIMARY KEY (id),
    UNIQUE KEY payment_events_by_key (idempotency_key),
    KEY payment_events_by_outcome (outcome, order_id)
) COMMENT = 'events of the payment webhook';
