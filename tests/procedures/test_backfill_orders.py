"""backfill_orders: callers, customers and times of payment of orders that release 0.9 made."""

from datetime import datetime
from typing import Any

from tests.support import Row, Session


def make_orders_of_release_0_9(session: Session, holds: list[Row]) -> list[int]:
    """Orders of a batch of holds, without what release 0.9 did not write."""
    hold_ids = [row["hold_id"] for row in session.batch("create_holds", holds)]
    order_ids = [row["order_id"] for row in session.batch("create_orders", [{"hold_id": each} for each in hold_ids])]
    places = ", ".join(["%s"] * len(order_ids))
    session.execute(f"DELETE FROM order_lines WHERE order_id IN ({places})", *order_ids)
    session.execute(f"UPDATE orders SET caller = NULL, customer_id = NULL WHERE id IN ({places})", *order_ids)
    return order_ids


def backfill(session: Session) -> None:
    """CALL the backfills of orders as a deploy does."""
    session.call_all("backfill_order_lines")
    session.call_all("backfill_orders")


def read_columns(session: Session, order_id: int) -> Row:
    """The columns of an order that release 0.9 did not write."""
    return session.query("SELECT caller, customer_id, paid_at FROM orders WHERE id = %s", order_id)[0]


def test_an_order_gets_the_caller_and_the_customer_of_its_hold(session: Session) -> None:
    hold: dict[str, Any] = {"product_id": session.create_product(stock=9), "quantity": 1}
    holds = [{**hold, "caller": "webshop", "customer_id": "Zoë"}, hold]
    named, unnamed = make_orders_of_release_0_9(session, holds)
    backfill(session)
    assert read_columns(session, named) == {"caller": b"webshop", "customer_id": "Zoë".encode(), "paid_at": None}
    assert read_columns(session, unnamed) == {"caller": b"", "customer_id": None, "paid_at": None}


def test_an_order_counts_as_paid_when_its_payment_arrived(session: Session) -> None:
    hold = {"product_id": session.create_product(stock=9), "quantity": 1}
    session.stand_at("2000000000")
    paid, cancelled, pending = make_orders_of_release_0_9(session, [hold] * 3)
    session.call_all("backfill_order_lines")
    session.call("apply_payment", "paid then", paid, "success")
    session.call("apply_payment", "failed then", cancelled, "failure")
    session.execute("UPDATE orders SET paid_at = NULL WHERE id = %s", paid)
    session.stand_at("2000009999")
    session.call("apply_payment", "a second payment", paid, "success")
    session.call_all("backfill_orders")
    times = [read_columns(session, order_id)["paid_at"] for order_id in (paid, cancelled, pending)]
    assert times == [datetime(2033, 5, 18, 3, 33, 20), None, None]


def test_a_time_of_payment_that_is_there_stays(session: Session) -> None:
    (order_id,) = make_orders_of_release_0_9(session, [{"product_id": session.create_product(stock=1), "quantity": 1}])
    session.call_all("backfill_order_lines")
    session.call("apply_payment", "paid under this release", order_id, "success")
    session.execute("UPDATE orders SET paid_at = '2026-01-02 03:04:05' WHERE id = %s", order_id)
    session.call_all("backfill_orders")
    assert read_columns(session, order_id)["paid_at"] == datetime(2026, 1, 2, 3, 4, 5)


def test_more_orders_than_one_transaction_takes_get_a_caller(session: Session) -> None:
    product_id = session.create_product(stock=3000)
    for _ in range(3):
        make_orders_of_release_0_9(session, [{"product_id": product_id, "quantity": 1}] * 1000)
    backfill(session)
    assert session.query("SELECT id FROM orders WHERE caller IS NULL") == []


def test_it_is_refused_inside_a_transaction(session: Session) -> None:
    session.execute("START TRANSACTION")
    assert session.errno("backfill_orders") == 30003
