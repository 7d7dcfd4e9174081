-- place_customers: note the customers of a batch's new holds, and tell whether one of them has too much now.
--
-- The stock rows of the products are locked already, so no other session can add to what their customers have.
--
-- In      in_requests       JSON     as create_holds
--         in_first_hold_id  BIGINT   the first of the holds that this connection has just inserted
-- Out     out_is_beaten     BOOLEAN  a rival gave a customer units since they were counted
-- Errors  none
-- Locks   its own new rows
-- Retry   no
-- Txn     the caller's
CREATE PROCEDURE place_customers(IN in_requests JSON, IN in_first_hold_id BIGINT, OUT out_is_beaten BOOLEAN)
COMMENT 'note the customers of a batch''s new holds, and tell whether one of them has too much now'
BEGIN
    INSERT INTO customer_holds (hold_id, product_id, customer_id)
    SELECT hold.id, hold.product_id, CAST(request.customer_id AS BINARY)
    FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
        position FOR ORDINALITY, customer_id VARCHAR(64) PATH '$.customer_id'
    )) AS request
    STRAIGHT_JOIN holds AS hold
        ON hold.position = request.position AND hold.id >= in_first_hold_id
        AND hold.inserted_by = CONNECTION_ID()
    WHERE request.customer_id IS NOT NULL;

    SELECT COUNT(*) > 0 INTO out_is_beaten
    FROM (
        SELECT DISTINCT named.customer_id, named.product_id
        FROM customer_holds AS named
        INNER JOIN holds AS hold ON hold.id = named.hold_id
        WHERE named.hold_id >= in_first_hold_id AND hold.inserted_by = CONNECTION_ID()
    ) AS customer
    INNER JOIN products AS product ON product.id = customer.product_id
    WHERE product.maximum_per_customer < (
        SELECT SUM(bought.quantity)
        FROM customer_units AS bought
        WHERE bought.customer_id = customer.customer_id AND bought.product_id = customer.product_id
    );
END
