-- NULL only in holds that ended under release 0.9.
ALTER TABLE holds
    ADD COLUMN unit_price DECIMAL(12, 2) NULL COMMENT 'the product''s price when the hold was made' AFTER quantity,
    ALGORITHM = INSTANT;
