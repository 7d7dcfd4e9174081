-- The accounts and their privileges. Each login account has EXECUTE on the procedures listed here and nothing else. The
-- procedures run as checkout_owner, which is locked. `python -m service.deploy` sets the passwords; until then they are
-- random. Names without a database refer to the database that is being deployed.

CREATE USER IF NOT EXISTS checkout_owner@localhost ACCOUNT LOCK;
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE, EVENT ON * TO checkout_owner@localhost;
-- What get_metrics tells of a replication group.
GRANT SELECT ON performance_schema.replication_group_members TO checkout_owner@localhost;
GRANT SELECT ON performance_schema.replication_group_member_stats TO checkout_owner@localhost;

CREATE USER IF NOT EXISTS checkout_app@'%' IDENTIFIED BY RANDOM PASSWORD;
CREATE USER IF NOT EXISTS checkout_cron@'%' IDENTIFIED BY RANDOM PASSWORD;
CREATE USER IF NOT EXISTS checkout_dba@'%' IDENTIFIED BY RANDOM PASSWORD;
CREATE ROLE IF NOT EXISTS checkout_operator@'%';
GRANT checkout_operator@'%' TO checkout_dba@'%';
SET DEFAULT ROLE checkout_operator@'%' TO checkout_dba@'%';

-- The service.
GRANT EXECUTE ON PROCEDURE apply_payments TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE cancel_orders TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE create_holds TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE create_orders TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE enable_sweep TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE extend_holds TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE get_health TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE get_holds TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE get_metrics TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE get_orders TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE get_products TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE list_events TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE list_orders TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE list_products TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE reduce_holds TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE refund_orders TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE release_holds TO checkout_app@'%';
GRANT EXECUTE ON PROCEDURE start_payments TO checkout_app@'%';

-- Cron. Only it reads the secrets of receivers of events (list_event_receivers).
GRANT EXECUTE ON PROCEDURE check_stock TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE enable_sweep TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE expire_due TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE get_products TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE list_deliveries TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE list_event_receivers TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE purge_history TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE record_stock_check TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE report_deliveries TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE report_sweeps TO checkout_cron@'%';
GRANT EXECUTE ON PROCEDURE settle_waiting_payments TO checkout_cron@'%';

-- Operators.
GRANT EXECUTE ON PROCEDURE adjust_stock TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE apply_payment TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE apply_payments TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE archive_product TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE cancel_order TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE cancel_orders TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE change_product TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE change_setting TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE check_stock TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE create_event_receiver TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE create_hold TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE create_holds TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE create_order TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE create_orders TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE create_product TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE enable_sweep TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE expire_due TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE extend_hold TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE extend_holds TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_events TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_health TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_hold TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_holds TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_metrics TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_order TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_orders TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_payment TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_product TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE get_products TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE list_events TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE list_orders TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE list_products TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE pause_event_receiver TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE purge_history TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE record_stock_check TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE reduce_hold TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE reduce_holds TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE refund_order TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE refund_orders TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE release_hold TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE release_holds TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE remove_event_receiver TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE report_sweeps TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE restore_product TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE resume_event_receiver TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE retry_event TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE rotate_event_secret TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE set_selling_rules TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE settle_refund TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE settle_review TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE settle_waiting_payments TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE start_payment TO checkout_operator@'%';
GRANT EXECUTE ON PROCEDURE start_payments TO checkout_operator@'%';
GRANT SELECT ON settings TO checkout_operator@'%';
GRANT SELECT ON active_holds TO checkout_operator@'%';
GRANT SELECT ON event_deliveries TO checkout_operator@'%';
GRANT SELECT ON payment_statuses TO checkout_operator@'%';
GRANT SELECT ON payments_to_review TO checkout_operator@'%';
GRANT SELECT ON pending_orders TO checkout_operator@'%';
GRANT SELECT ON refunded_lines TO checkout_operator@'%';
GRANT SELECT ON refunds_due TO checkout_operator@'%';
GRANT SELECT ON sales_per_minute TO checkout_operator@'%';
GRANT SELECT ON stock_adjustments TO checkout_operator@'%';
GRANT SELECT ON stock_levels TO checkout_operator@'%';
GRANT SELECT ON undelivered_events TO checkout_operator@'%';
GRANT SELECT ON waiting_payments TO checkout_operator@'%';
