ALTER TABLE stock
    ADD KEY stock_by_archiving (archived_at, product_id),
    ALGORITHM = INPLACE,
    LOCK = NONE;
