"""settle_waiting_payments: settle events that a crash left waiting, and orphan those that waited too long."""

import pytest

from tests.support import Session

DAY_S = 86_400


@pytest.fixture(autouse=True)
def _nothing_waits(session: Session) -> None:
    session.execute("DELETE FROM payment_events")


def future_order_id(session: Session) -> int:
    """The id that the next order will get."""
    return session.create_order(session.create_product(stock=1)) + 1


@pytest.mark.parametrize(("event", "is_refund_due"), [("success", True), ("failure", False)])
def test_an_event_that_waited_a_day_is_orphaned(session: Session, event: str, is_refund_due: bool) -> None:
    session.call("apply_payment", "orphan", 10**8, event)
    session.travel(DAY_S - 10)
    assert session.call("settle_waiting_payments", 1000) == []
    session.travel(DAY_S + 1)
    (row,) = session.call("settle_waiting_payments", 1000)
    assert list(row) == ["event_id", "idempotency_key", "order_id", "status", "outcome"]
    assert list(row.values())[1:] == ["orphan", 10**8, event, "orphaned"]
    assert session.call("apply_payment", "orphan", 10**8, event)[0]["outcome"] == "orphaned"
    refunds = session.query("SELECT * FROM refunds_due")
    assert [refund["amount"] for refund in refunds] == ([None] if is_refund_due else [])
    assert session.call("settle_waiting_payments", 1000) == []


def test_an_orphaned_event_is_never_applied(session: Session) -> None:
    order_id = future_order_id(session)
    session.call("apply_payment", "never applied", order_id, "success")
    session.travel(DAY_S + 1)
    session.call("settle_waiting_payments", 1000)
    assert session.create_order(session.create_product(stock=1)) == order_id
    assert session.status_of("order", order_id) == "pending"
    assert session.call("apply_payment", "never applied", order_id, "success")[0]["outcome"] == "orphaned"
    assert session.status_of("order", order_id) == "pending"


def test_an_event_that_waits_although_its_order_exists_is_settled(session: Session) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_order(product_id, 2)
    session.call("apply_payment", "left", order_id, "failure")
    session.execute("UPDATE payment_events SET outcome = 'waiting'")
    session.execute("UPDATE orders SET status = 'pending' WHERE id = %s", order_id)
    session.execute("DELETE FROM events WHERE order_id = %s AND type = 'order.cancelled'", order_id)
    session.execute("UPDATE stock SET available = 0 WHERE product_id = %s", product_id)
    session.travel(DAY_S / 2)
    assert [row["outcome"] for row in session.call("settle_waiting_payments", 1)] == ["applied"]
    assert session.status_of("order", order_id) == "cancelled"
    assert session.available(product_id) == 2


def test_a_thousand_orphans_do_not_delay_an_event_whose_order_exists(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    session.execute("UPDATE orders SET id = 900000000 WHERE id = %s", order_id)
    for table in ("order_lines", "events"):
        session.execute(f"UPDATE {table} SET order_id = 900000000 WHERE order_id = %s", order_id)
    session.execute("UPDATE idempotency_keys SET result_id = 900000000 WHERE operation = 'order'")
    session.execute(
        "INSERT INTO payment_events (idempotency_key, order_id, status, received_at, recorded_by) "
        "SELECT CONCAT('orphan ', number), 10000000 + number, 'success', UTC_TIMESTAMP() - INTERVAL 3 DAY, 0 "
        "FROM (WITH RECURSIVE numbers (number) AS "
        "(SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1000) SELECT number FROM numbers) AS n"
    )
    session.execute(
        "INSERT INTO payment_events (idempotency_key, order_id, status, received_at, recorded_by) "
        "VALUES ('of an order', 900000000, 'success', UTC_TIMESTAMP() - INTERVAL 3 HOUR, 0)"
    )
    session.call("settle_waiting_payments", 1000)
    assert session.call("get_payment", "of an order")[0]["outcome"] == "applied"
    assert session.status_of("order", 900000000) == "paid"


def test_an_event_that_waited_too_long_is_orphaned_even_before_it_is_marked(session: Session) -> None:
    product_id = session.create_product(stock=2)
    next_order_id = session.create_order(product_id) + 1
    session.travel(-2 * DAY_S)
    session.call("apply_payment", "too late", next_order_id, "success")
    session.travel(0)

    assert session.call("apply_payment", "too late", next_order_id, "success")[0]["outcome"] == "orphaned"
    assert "too late" in [row["idempotency_key"] for row in session.query("SELECT * FROM refunds_due")]
    assert session.create_order(product_id) == next_order_id
    assert session.status_of("order", next_order_id) == "pending"
    assert session.call("settle_refund", "too late")[0]["replayed"] == 0
    assert session.call("get_payment", "too late")[0]["outcome"] == "orphaned"


def test_a_changed_waiting_time_applies_to_events_that_already_wait(session: Session) -> None:
    session.call("apply_payment", "shorter", 10**8, "success")
    session.call("change_setting", "waiting_payment_ttl_s", 60)
    try:
        session.travel(61)
        assert len(session.call("settle_waiting_payments", 1000)) == 1
    finally:
        session.call("change_setting", "waiting_payment_ttl_s", DAY_S)


def test_the_limit_applies_to_a_call(session: Session) -> None:
    for number in range(5):
        session.call("apply_payment", f"bounded {number}", 10**8, "success")
    session.travel(DAY_S + 1)
    assert [len(session.call("settle_waiting_payments", 2)) for _ in range(4)] == [2, 2, 1, 0]
