-- get_metrics: read the figures of the database for monitoring.
--
-- Cheap enough for every scrape: figures that would need a scan are read from `measurements`.
--
-- In      nothing
-- Out     one row as get_health; then one row: holds_expired, orders_expired (since the first deploy), refunds_due,
--         payments_waiting (now), stock_differences (products, when stock was last checked), stock_checked_at
--         (DATETIME, UTC; NULL: never), flow_control_throttles (transactions that the group's flow control delayed
--         since this server started; NULL: it does not count them), payments_to_review (now), last_event_position (of
--         the events that somebody has asked for); then a row for each of the 1,000 newest products: product_id,
--         total_stock, available_stock; then a row for each member of the replication group, none where there is no
--         group: member (host:port), state, role, certifier_queue and applier_queue (transactions that wait there);
--         then a row for each receiver of events: receiver_id, delivery_state (active, failing, paused, gone), lag_s,
--         events_retried, events_set_aside, as event_deliveries
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE get_metrics()
COMMENT 'read the figures of the database for monitoring'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL get_health();
    CALL begin_read(v_is_own);
    SELECT
        holds_expired,
        orders_expired,
        (SELECT COUNT(*) FROM refunds_due) AS refunds_due,
        (SELECT COUNT(*) FROM waiting_payments) AS payments_waiting,
        stock_differences,
        stock_checked_at,
        (
            SELECT CAST(status.variable_value AS UNSIGNED)
            FROM performance_schema.global_status AS status
            WHERE status.variable_name = 'Gr_flow_control_throttle_count'
        ) AS flow_control_throttles,
        (SELECT COUNT(*) FROM payments_to_review) AS payments_to_review,
        (SELECT counter.last_position FROM event_counter AS counter) AS last_event_position
    FROM measurements;
    SELECT product_id, total AS total_stock, available AS available_stock
    FROM stock
    ORDER BY product_id DESC
    LIMIT 1000;
    SELECT
        CONCAT(member.member_host, ':', member.member_port) AS member,
        member.member_state AS state,
        member.member_role AS role,
        COALESCE(stats.count_transactions_in_queue, 0) AS certifier_queue,
        COALESCE(stats.count_transactions_remote_in_applier_queue, 0) AS applier_queue
    FROM performance_schema.replication_group_members AS member
    LEFT JOIN performance_schema.replication_group_member_stats AS stats ON stats.member_id = member.member_id
    WHERE member.member_state <> 'OFFLINE'
    ORDER BY member.member_host, member.member_port;
    SELECT receiver_id, state AS delivery_state, lag_s, events_retried, events_set_aside
    FROM event_deliveries
    ORDER BY receiver_id;
    CALL end_read(v_is_own);
END
