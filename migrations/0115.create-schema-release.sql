CREATE TABLE schema_release (
    only_row TINYINT NOT NULL DEFAULT 1,
    schema_version INT NOT NULL COMMENT 'how far the migrations have come',
    oldest_code INT NOT NULL COMMENT 'the oldest code that may run on this schema',
    PRIMARY KEY (only_row),
    CONSTRAINT schema_release_one_row CHECK (only_row = 1)
) COMMENT = 'which code fits this schema; later migrations UPDATE the row';
