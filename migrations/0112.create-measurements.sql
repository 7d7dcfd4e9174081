CREATE TABLE measurements (
    only_row TINYINT NOT NULL DEFAULT 1,
    holds_expired BIGINT NOT NULL DEFAULT 0 COMMENT 'since the first deploy',
    orders_expired BIGINT NOT NULL DEFAULT 0 COMMENT 'cancelled as overdue, since the first deploy',
    stock_differences BIGINT NOT NULL DEFAULT 0 COMMENT 'products whose stock differed in the last check',
    stock_checked_at DATETIME NULL COMMENT 'UTC; NULL: never',
    PRIMARY KEY (only_row),
    CONSTRAINT measurements_one_row CHECK (only_row = 1)
) COMMENT = 'figures of get_metrics that would otherwise need a scan';
