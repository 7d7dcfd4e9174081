-- sweep_short_products: release the due holds and orders of the products that a batch of holds found short.
--
-- It waits for locks, because rows that another sweep is releasing must count before a request is refused for too few
-- units or for its customer's maximum.
--
-- In      in_requests   JSON           as create_holds
--         in_verdicts   VARCHAR(1000)  short (s, m) and open (.) requests name the products
-- Out     out_released  BIGINT         due holds and orders that this or another sweep has released
-- Errors  30003 transaction_in_progress
-- Locks   holds, orders, then stock, each by primary key, ascending, then measurements; until COMMIT
-- Retry   safe
-- Txn     its own
CREATE PROCEDURE sweep_short_products(
    IN in_requests JSON, IN in_verdicts VARCHAR(1000), OUT out_released BIGINT
)
COMMENT 'release the due holds and orders of the products that a batch of holds found short'
BEGIN
    DECLARE v_hold_ids JSON;
    DECLARE v_order_ids JSON;
    DECLARE v_started_at DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
    DECLARE v_sweep_id BIGINT;
    DECLARE v_units BIGINT;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        -- Due rows come first in the join: usually there are none, and then MySQL does not parse the array.
        SELECT JSON_ARRAYAGG(due.id) INTO v_hold_ids
        FROM (
            SELECT hold.id
            FROM holds AS hold FORCE INDEX (holds_by_deadline)
            STRAIGHT_JOIN (
                SELECT DISTINCT product_id
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY, product_id BIGINT PATH '$.product_id'
                )) AS request
                WHERE SUBSTRING(in_verdicts, request.position, 1) IN ('s', 'm', '.')
            ) AS short ON short.product_id = hold.product_id
            WHERE hold.status = 'active' AND hold.expires_at <= UTC_TIMESTAMP()
            LIMIT 1000
        ) AS due;

        SELECT JSON_ARRAYAGG(due.id) INTO v_order_ids
        FROM (
            SELECT DISTINCT order_.id
            FROM orders AS order_ FORCE INDEX (orders_by_deadline)
            STRAIGHT_JOIN order_lines AS line ON line.order_id = order_.id
            STRAIGHT_JOIN (
                SELECT DISTINCT product_id
                FROM JSON_TABLE(in_requests, '$[*]' COLUMNS (
                    position FOR ORDINALITY, product_id BIGINT PATH '$.product_id'
                )) AS request
                WHERE SUBSTRING(in_verdicts, request.position, 1) IN ('s', 'm', '.')
            ) AS short ON short.product_id = line.product_id
            WHERE order_.status = 'pending' AND order_.payment_due_at <= UTC_TIMESTAMP()
            LIMIT 1000
        ) AS due;

        SET out_released = COALESCE(JSON_LENGTH(v_hold_ids), 0) + COALESCE(JSON_LENGTH(v_order_ids), 0);
        IF out_released > 0 THEN
            CALL lock_due(v_hold_ids, v_order_ids);
            CALL release_due(v_hold_ids, v_order_ids, v_started_at, v_sweep_id, v_units);
        END IF;
        COMMIT;
    END;
END
