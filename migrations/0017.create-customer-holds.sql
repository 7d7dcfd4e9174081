-- No foreign key: it would lock the hold, outside the one lock order.
CREATE TABLE customer_holds (
    hold_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    customer_id VARBINARY(64) NOT NULL,
    PRIMARY KEY (hold_id),
    KEY customer_holds_by_customer (customer_id, product_id)
) COMMENT = 'which customer a hold is for; beside holds, so that sales without customers pay for no index';
