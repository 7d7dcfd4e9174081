CREATE TABLE sweeps (
    id BIGINT NOT NULL AUTO_INCREMENT,
    swept_at DATETIME(6) NOT NULL COMMENT 'UTC',
    holds INT NOT NULL COMMENT 'expired',
    orders INT NOT NULL COMMENT 'cancelled because their payment was overdue',
    units BIGINT NOT NULL COMMENT 'returned to stock',
    duration_ms INT NOT NULL,
    reported_at DATETIME NULL COMMENT 'UTC; when the log line was written',
    PRIMARY KEY (id),
    KEY sweeps_by_report (reported_at)
) COMMENT = 'sweeps that released something, one row per sweep';
