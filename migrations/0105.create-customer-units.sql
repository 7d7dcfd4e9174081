-- Apart from holds, so that holds without a customer need no index entry. A row is deleted when its units return.
CREATE TABLE customer_units (
    hold_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    customer_id VARBINARY(64) NOT NULL,
    quantity INT NOT NULL COMMENT 'units',
    PRIMARY KEY (hold_id),
    KEY customer_units_by_customer (customer_id, product_id)
) COMMENT = 'units of customers in active holds, pending and paid orders';
