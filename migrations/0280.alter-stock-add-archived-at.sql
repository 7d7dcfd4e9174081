-- The row of stock has it, because a hold locks this row.
ALTER TABLE stock
    ADD COLUMN archived_at DATETIME NULL COMMENT 'UTC; holds have been refused since then; NULL: not archived',
    ALGORITHM = INSTANT;
