-- insert_orders: insert the chosen orders of a batch, in array order.
--
-- In      in_requests    JSON           as create_orders
--         in_verdicts    VARCHAR(1000)  chosen (+) ones are inserted
--         in_payment_due_at  DATETIME   UTC
-- Out     out_order_ids  JSON           array of the new ids
-- Errors  none
-- Locks   its own new orders; the holds are locked already
-- Retry   no
-- Txn     the caller's
CREATE PROCEDURE insert_orders(
    IN in_requests JSON, IN in_verdicts VARCHAR(1000), IN in_payment_due_at DATETIME, OUT out_order_ids JSON
)
COMMENT 'insert the chosen orders of a batch, in array order'
BEGIN
    DECLARE v_is_done BOOLEAN DEFAULT FALSE;
    DECLARE v_hold_id BIGINT;
    DECLARE v_product_id BIGINT;
    DECLARE v_quantity BIGINT;
    DECLARE v_amount DECIMAL(20, 2);
    DECLARE v_order_ids LONGTEXT DEFAULT '';
    DECLARE c_chosen CURSOR FOR
        SELECT hold.id, hold.product_id, hold.quantity, hold.quantity * product.price
        FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
            position FOR ORDINALITY, hold_id BIGINT PATH '$.hold_id'
        )) AS request
        STRAIGHT_JOIN holds AS hold ON hold.id = request.hold_id
        STRAIGHT_JOIN products AS product ON product.id = hold.product_id
        WHERE SUBSTRING(in_verdicts, request.position, 1) = '+'
        ORDER BY request.position;
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_is_done = TRUE;

    OPEN c_chosen;
    FETCH c_chosen INTO v_hold_id, v_product_id, v_quantity, v_amount;
    WHILE NOT v_is_done DO
        -- One by one, because the ids of one INSERT ... SELECT may leave gaps.
        INSERT INTO orders (hold_id, product_id, quantity, amount, payment_due_at)
        VALUES (v_hold_id, v_product_id, v_quantity, v_amount, in_payment_due_at);
        SET v_order_ids = CONCAT(v_order_ids, ',', LAST_INSERT_ID());
        FETCH c_chosen INTO v_hold_id, v_product_id, v_quantity, v_amount;
    END WHILE;
    CLOSE c_chosen;
    SET out_order_ids = CONCAT('[', SUBSTRING(v_order_ids, 2), ']');
END
