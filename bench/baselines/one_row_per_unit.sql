-- The tables of the baseline "one row per unit": those of "client-side transactions", and a row for each unit.
CREATE TABLE units (
    product_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    hold_id BIGINT,
    PRIMARY KEY (product_id, id),
    KEY units_by_hold (product_id, hold_id)
);
