"""A small sale that calls every public procedure and reads every view.

docs/procedures.md shows each statement with its output. A test runs the sale in sessions of several time zones.
"""

START_S = 1_893_499_200  # 2030-01-01 12:00:00 UTC
DAY_S = 86_400

# In order: seconds since START_S, statement. The database is empty at first, so ids count from 1.
SALE = [
    (0, "CALL create_product('Limited Edition Item', 100.00, 50)"),
    (0, "CALL change_product(1, 'Limited Edition Item', 99.00, 5)"),
    (0, "CALL change_setting('hold_ttl_s', 120)"),
    (0, "CALL set_selling_rules(1, '2030-01-01 12:00:00', '2030-01-01 14:00:00', 4)"),
    (0, "CALL set_selling_rules(1, NULL, NULL, NULL)"),
    (0, "CALL adjust_stock(1, 5, 'delivery 77', 'delivery 77')"),
    (0, "CALL archive_product(1)"),
    (0, "CALL restore_product(1)"),
    (0, "CALL create_event_receiver('https://shop.example/events', 'order.created,order.paid,order.cancelled')"),
    (0, "CALL create_hold(1, 2, 'cart-1')"),
    (
        0,
        """CALL create_holds('[
    {"product_id": 1, "quantity": 1, "idempotency_key": "cart-2", "customer_id": "ada"},
    {"product_id": 1, "quantity": 1, "idempotency_key": "cart-3", "caller": "web"},
    {"product_id": 1, "quantity": 2, "idempotency_key": "cart-4"},
    {"product_id": 1, "quantity": 1, "idempotency_key": "cart-5"},
    {"product_id": 1, "quantity": 1, "idempotency_key": "cart-6"},
    {"product_id": 1, "quantity": 99, "idempotency_key": "cart-7"}
]')""",
    ),
    (1, "CALL extend_hold(1)"),
    (1, "CALL extend_holds('[2, 99]')"),
    (1, "CALL reduce_hold(4, 1)"),
    (1, """CALL reduce_holds('[[3, "web", 1], [5, "", 2], [99, "", 1]]')"""),
    (1, "SELECT * FROM active_holds"),
    (2, "CALL create_order(1, 'cart-1')"),
    (
        2,
        """CALL create_orders('[
    {"hold_id": 2, "idempotency_key": "cart-2"},
    {"hold_id": 3, "idempotency_key": "cart-3", "caller": "web"},
    {"hold_id": 1, "idempotency_key": "cart-8"}
]')""",
    ),
    (3, "CALL start_payment(1)"),
    (3, """CALL start_payments('[[2, "", 1200], 99]')"""),
    (3, "SELECT * FROM pending_orders"),
    (4, "CALL apply_payment('payment-1', 1, 'success')"),
    (
        4,
        """CALL apply_payments('[
    {"idempotency_key": "payment-1", "order_id": 1, "status": "success"},
    {"idempotency_key": "payment-9", "order_id": 9, "status": "success", "payment_id": "pay-9", "amount": "99.00"},
    {"idempotency_key": "payment-10", "order_id": 9, "status": "success", "payment_id": "pay-9", "amount": "99.00"},
    {"idempotency_key": "payment-11", "order_id": 1, "status": "disputed", "payment_id": "pay-1", "amount": "198.00"},
    {"idempotency_key": "payment-12", "status": "refunded", "payment_id": "pay-1"}
]')""",
    ),
    (4, "SELECT * FROM payments_to_review"),
    (4, "SELECT * FROM waiting_payments"),
    (5, "CALL cancel_order(2)"),
    (5, "CALL cancel_orders('[3, 1]')"),
    (6, "CALL apply_payment('payment-2', 2, 'success')"),
    (6, "SELECT * FROM refunds_due"),
    (7, "CALL settle_refund('payment-2')"),
    (7, "CALL settle_review('payment-11')"),
    (
        8,
        """CALL refund_orders('[
    {"order_id": 1, "restock": true, "lines": [{"hold_id": 1, "quantity": 1}], "idempotency_key": "refund-1"},
    {"order_id": 2, "restock": true, "idempotency_key": "refund-2"}
]')""",
    ),
    (8, "CALL refund_order(1, FALSE, 'refund-3')"),
    (8, "SELECT * FROM refunded_lines"),
    (8, "CALL release_hold(4)"),
    (8, "CALL release_holds('[5, 1]')"),
    (9, "CALL get_hold(1)"),
    (9, "CALL get_holds('[6, 99]')"),
    (9, "CALL get_order(1)"),
    (9, "CALL get_orders('[2, 99]')"),
    (9, "CALL get_payment('payment-2')"),
    (9, "CALL get_product(1)"),
    (9, "CALL get_products('[1, 99]')"),
    (9, "CALL list_orders('', NULL, 0, 10)"),
    (9, "CALL list_products(0, 10)"),
    (9, "CALL get_events(0, 4)"),
    (9, "CALL list_events('web', 0, 10)"),
    (9, "CALL rotate_event_secret(1)"),
    (9, "CALL list_event_receivers()"),
    (9, "CALL list_deliveries(1, 4)"),
    (10, """CALL report_deliveries(1, 4, '[{"position": 1, "status": 204}, {"position": 2, "status": 500}]')"""),
    (10, "SELECT * FROM undelivered_events"),
    (10, "SELECT * FROM event_deliveries"),
    (10, "CALL retry_event(1, 2)"),
    (10, "CALL pause_event_receiver(1)"),
    (10, "CALL resume_event_receiver(1)"),
    (10, "CALL remove_event_receiver(1)"),
    (10, "SELECT * FROM stock_levels"),
    (10, "SELECT * FROM sales_per_minute"),
    (122, "CALL get_hold(6)"),
    (122, "CALL get_health()"),
    (122, "CALL enable_sweep()"),
    (122, "CALL expire_due(1000)"),
    (122, "CALL report_sweeps(10)"),
    (123, "CALL check_stock()"),
    (123, "CALL record_stock_check(0)"),
    (123, "CALL get_metrics()"),
    (2 * DAY_S, "CALL settle_waiting_payments(10)"),
    (60 * DAY_S, "CALL purge_history(1000)"),
]
