-- write_customer_units: record the units of a batch's customers, and find out whether one exceeds its maximum.
--
-- The stock rows of the products are locked already, so no other session can add units of these customers.
--
-- In      in_requests       JSON     as create_holds
--         in_first_hold_id  BIGINT   the first of the holds that this connection has just inserted
-- Out     out_has_conflict     BOOLEAN  a customer exceeds its maximum, because another session added units
-- Errors  none
-- Locks   its own new rows
-- Retry   no
-- Txn     the caller's
CREATE PROCEDURE write_customer_units(IN in_requests JSON, IN in_first_hold_id BIGINT, OUT out_has_conflict BOOLEAN)
COMMENT 'record the units of a batch''s customers, and find out whether one exceeds its maximum'
BEGIN
    INSERT INTO customer_units (hold_id, product_id, customer_id, quantity)
    SELECT hold.id, hold.product_id, CAST(request.customer_id AS BINARY), hold.quantity
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, customer_id VARCHAR(64) PATH '$.customer_id'
    )) AS request
    STRAIGHT_JOIN holds AS hold
        ON hold.position = request.position AND hold.id >= in_first_hold_id
        AND hold.inserted_by = CONNECTION_ID()
    WHERE request.customer_id IS NOT NULL;

    SELECT COUNT(*) > 0 INTO out_has_conflict
    FROM (
        SELECT DISTINCT new_.customer_id, new_.product_id
        FROM customer_units AS new_
        INNER JOIN holds AS hold ON hold.id = new_.hold_id
        WHERE new_.hold_id >= in_first_hold_id AND hold.inserted_by = CONNECTION_ID()
    ) AS customer
    INNER JOIN products AS product ON product.id = customer.product_id
    WHERE product.maximum_per_customer < (
        SELECT SUM(had.quantity)
        FROM customer_units AS had
        WHERE had.customer_id = customer.customer_id AND had.product_id = customer.product_id
    );
END
