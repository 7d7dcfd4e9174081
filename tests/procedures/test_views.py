"""The views for operators: what is held, what waits, what must be refunded, what was sold."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from service.mysql_url import MysqlUrl
from tests.support import PASSWORDS, Row, Session

EPOCH = datetime(1970, 1, 1)
START_S = 2_000_000_010  # a whole minute begins 30 s later


@pytest.fixture
def operator(database_url: str) -> Iterator[Session]:
    """A session with the operators' account, which may read the views."""
    session = Session(str(MysqlUrl.parse(database_url).for_account("checkout_dba", PASSWORDS["checkout_dba"])))
    yield session
    session.close()


@pytest.fixture
def product_id(session: Session) -> int:
    """A product; there are no other holds, orders and events."""
    session.stand_at(str(START_S + 10_000_000))
    session.call("expire_due", 100_000)
    session.travel(0)
    session.execute("DELETE FROM payment_events")
    return session.create_product(stock=50, price="19.90")


def hold(session: Session, product_id: int, **members: object) -> int:
    """Hold two units; returns the hold's id."""
    (row,) = session.batch("create_holds", [{"product_id": product_id, "quantity": 2, **members}])
    hold_id: int = row["hold_id"]
    return hold_id


def order(session: Session, product_id: int, **members: object) -> int:
    """Hold and order two units; returns the order's id."""
    order_id: int = session.call("create_order", hold(session, product_id, **members), None)[0]["order_id"]
    return order_id


def at(session: Session, operator: Session, seconds: float) -> None:
    """Stop both sessions' clocks so many seconds after the start."""
    for each in (session, operator):
        each.stand_at(str(START_S + seconds))


def test_active_holds_shows_current_holds_with_caller_customer_and_deadline(
    session: Session, operator: Session, product_id: int
) -> None:
    at(session, operator, 0)
    ada = hold(session, product_id, customer_id="ada", caller="web")
    nobody = hold(session, product_id)
    ordered, released = hold(session, product_id), hold(session, product_id)
    session.call("create_order", ordered, None)
    session.call("release_hold", released)
    session.call("extend_hold", ada)
    rows = operator.query("SELECT * FROM active_holds ORDER BY hold_id")
    common: Row = {"product_id": product_id, "quantity": 2}
    assert rows == [
        {
            "hold_id": ada,
            **common,
            "caller": "web",
            "customer_id": "ada",
            "expires_at": EPOCH + timedelta(seconds=START_S + 180),
            "is_extended": 1,
        },
        {
            "hold_id": nobody,
            **common,
            "caller": "",
            "customer_id": None,
            "expires_at": EPOCH + timedelta(seconds=START_S + 120),
            "is_extended": 0,
        },
    ]
    at(session, operator, 120)
    assert [row["hold_id"] for row in operator.query("SELECT hold_id FROM active_holds")] == [ada], "not swept yet"
    at(session, operator, 180)
    assert operator.query("SELECT hold_id FROM active_holds") == []


def test_pending_orders_shows_orders_that_wait_for_their_payment(
    session: Session, operator: Session, product_id: int
) -> None:
    at(session, operator, 0)
    paying, silent = order(session, product_id, customer_id="ada", caller="web"), order(session, product_id)
    cancelled, paid = order(session, product_id), order(session, product_id)
    session.call("cancel_order", cancelled)
    session.call("apply_payment", "paid", paid, "success")
    at(session, operator, 60)
    session.call("start_payment", paying)
    rows = operator.query("SELECT * FROM pending_orders ORDER BY order_id")
    assert list(rows[0]) == [
        *("order_id", "hold_id", "product_id", "quantity", "amount", "caller", "customer_id"),
        *("payment_started_at", "payment_due_at"),
    ]
    assert [(row["order_id"], row["caller"], row["customer_id"]) for row in rows] == [
        (paying, "web", "ada"),
        (silent, "", None),
    ]
    assert [row["amount"] for row in rows] == [Decimal("39.80")] * 2
    assert [row["payment_started_at"] for row in rows] == [EPOCH + timedelta(seconds=START_S + 60), None]
    assert [row["payment_due_at"] for row in rows] == [
        EPOCH + timedelta(seconds=START_S + 60 + 1800),
        EPOCH + timedelta(seconds=START_S + 900),
    ]


def test_waiting_payments_shows_events_whose_order_does_not_exist(
    session: Session, operator: Session, product_id: int
) -> None:
    at(session, operator, 0)
    order_id = order(session, product_id)
    session.call("apply_payment", "applied", order_id, "success")
    session.call("apply_payment", "ünterwegs", order_id + 1, "success")
    session.call("apply_payment", "declined", order_id + 2, "failure")
    rows = operator.query("SELECT * FROM waiting_payments ORDER BY event_id")
    assert [(row["idempotency_key"], row["order_id"], row["status"]) for row in rows] == [
        ("ünterwegs", order_id + 1, "success"),
        ("declined", order_id + 2, "failure"),
    ]
    assert {row["received_at"].replace(microsecond=0) for row in rows} == {EPOCH + timedelta(seconds=START_S)}
    assert order(session, product_id) == order_id + 1
    assert [row["order_id"] for row in operator.query("SELECT order_id FROM waiting_payments")] == [order_id + 2]
    at(session, operator, 86_401)
    assert operator.query("SELECT order_id FROM waiting_payments") == [], "orphaned, marked as such or not"


def test_refunds_due_shows_payments_that_must_be_refunded(session: Session, operator: Session, product_id: int) -> None:
    at(session, operator, 0)
    paid, cancelled = order(session, product_id), order(session, product_id)
    for key, order_id in (("first", paid), ("second", paid), ("late", cancelled), ("orphan", cancelled + 100)):
        if key == "late":
            session.call("cancel_order", cancelled)
        session.call("apply_payment", key, order_id, "success")
    session.call("apply_payment", "declined", cancelled + 101, "failure")
    assert [row["idempotency_key"] for row in operator.query("SELECT * FROM refunds_due ORDER BY event_id")] == [
        "second",
        "late",
    ]
    at(session, operator, 86_401)
    rows = operator.query("SELECT * FROM refunds_due ORDER BY event_id")
    assert [(row["idempotency_key"], row["amount"], row["outcome"]) for row in rows] == [
        ("second", Decimal("39.80"), "refund_due"),
        ("late", Decimal("39.80"), "refund_due"),
        ("orphan", None, "orphaned"),
    ]
    for row in rows:
        operator.call("settle_refund", row["idempotency_key"])
    assert operator.query("SELECT * FROM refunds_due") == []


def test_sales_per_minute_counts_paid_orders(session: Session, operator: Session, product_id: int) -> None:
    other_id = session.create_product(stock=5, price="1.00")
    at(session, operator, 0)
    orders = [order(session, product_id) for _ in range(5)]
    for number, (seconds, status) in enumerate([(29.5, "success"), (30, "success"), (89, "success"), (90, "failure")]):
        at(session, operator, seconds)
        session.call("apply_payment", f"payment {number}", orders[number], status)
    session.call("apply_payment", "a second one", orders[0], "success")
    session.call("apply_payment", "of the other", order(session, other_id), "success")
    minute = EPOCH + timedelta(seconds=START_S - 30)
    wanted = "SELECT * FROM sales_per_minute WHERE product_id IN (%s, %s) ORDER BY minute, product_id"
    rows = operator.query(wanted, product_id, other_id)
    columns = ("minute", "product_id", "orders", "quantity", "amount")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        (minute, product_id, 1, 2, Decimal("39.80")),
        (minute + timedelta(minutes=1), product_id, 2, 4, Decimal("79.60")),
        (minute + timedelta(minutes=2), other_id, 1, 2, Decimal("2.00")),
    ]
    assert list(rows[0]) == list(columns)
    (sold,) = operator.query("SELECT sold FROM stock_levels WHERE product_id = %s", product_id)
    assert sold["sold"] == sum(row["quantity"] for row in rows if row["product_id"] == product_id)


@pytest.mark.parametrize(
    ("view", "table", "index"),
    [
        ("active_holds", "hold", "holds_by_deadline"),
        ("pending_orders", "order_", "orders_by_deadline"),
        ("waiting_payments", "payment_events", "payment_events_by_outcome"),
    ],
)
def test_a_view_reads_only_the_rows_that_it_shows(session: Session, view: str, table: str, index: str) -> None:
    plan = {row["table"]: row["key"] for row in session.query(f"EXPLAIN FORMAT = TRADITIONAL SELECT * FROM {view}")}
    assert plan[table] == index
