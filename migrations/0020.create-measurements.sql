CREATE TABLE measurements (
    only_row TINYINT NOT NULL DEFAULT 1,
    holds_expired BIGINT NOT NULL DEFAULT 0 COMMENT 'since the first deploy',
    orders_expired BIGINT NOT NULL DEFAULT 0 COMMENT 'cancelled, payment overdue; since the first deploy',
    stock_differences BIGINT NOT NULL DEFAULT 0 COMMENT 'products that differed when stock was last checked',
    stock_checked_at DATETIME NULL COMMENT 'UTC; NULL: never',
    PRIMARY KEY (only_row),
    CONSTRAINT measurements_one_row CHECK (only_row = 1)
) COMMENT = 'what get_metrics tells that would take a scan to find out';
