-- orphan_payments: mark events as orphaned that waited waiting_payment_ttl_s seconds for their order.
--
-- In      in_events  JSON  array of {"event_id"}, or NULL: the candidates
-- Out     nothing
-- Errors  30003 transaction_in_progress
-- Locks   payment events by primary key, ascending; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE orphan_payments(IN in_events JSON)
COMMENT 'mark events as orphaned that waited waiting_payment_ttl_s seconds for their order'
BEGIN
    DECLARE v_received_before DATETIME(6);
    DECLARE v_event_ids JSON;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        SET v_received_before = UTC_TIMESTAMP(6) - INTERVAL setting('waiting_payment_ttl_s') SECOND;
        SELECT JSON_ARRAYAGG(locked_.id) INTO v_event_ids
        FROM (
            SELECT event_.id
            FROM (
                SELECT event_id
                FROM JSON_TABLE(in_events, '$[*]' COLUMNS (event_id BIGINT PATH '$.event_id')) AS element
                ORDER BY event_id LIMIT 100000
            ) AS candidate
            STRAIGHT_JOIN payment_events AS event_ ON event_.id = candidate.event_id
            WHERE event_.outcome = 'waiting' AND event_.received_at <= v_received_before
            FOR UPDATE OF event_
        ) AS locked_;

        -- An order created in the meantime waits for these locks, and finds its events orphaned.
        UPDATE /*+ SET_VAR(sql_safe_updates = OFF) SET_VAR(max_join_size = 18446744073709551615) */
        JSON_TABLE(v_event_ids, '$[*]' COLUMNS (event_id BIGINT PATH '$')) AS locked_
        STRAIGHT_JOIN payment_events AS event_ ON event_.id = locked_.event_id
        SET event_.outcome = 'orphaned';
        COMMIT;
    END;
END
