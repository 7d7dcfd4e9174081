ALTER TABLE holds
ADD COLUMN caller VARBINARY(64) NOT NULL DEFAULT '' COMMENT 'whose hold it is; empty while callers are not told apart',
ADD COLUMN is_extended BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'its deadline was moved: that happens once';
