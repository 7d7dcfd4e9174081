-- orphan_payments: mark events as orphaned that waited waiting_payment_ttl_s seconds for their order.
--
-- In      in_events  JSON  array of {"event_id"}, or NULL: the candidates
-- Out     nothing
-- Errors  30003 transaction_in_progress
-- Locks   payment events by primary key, ascending, then its own new events; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE orphan_payments(IN in_events JSON)
COMMENT 'mark events as orphaned that waited waiting_payment_ttl_s seconds for their order'
BEGIN
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        -- An order created in the meantime waits for these locks, and finds its events orphaned.
        CALL orphan_waiting_payments(JSON_EXTRACT(in_events, '$[*].event_id'));
        COMMIT;
    END;
END
