"""Batches with common keys in opposite order run beside sweeps, payments, cancellations, releases, refunds and a DBA.

After a deadlock a caller sends the same batch again with the same keys, as the service does. Every request gets the
right answer, and no unit is lost.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import mysql.connector

from tests.support import Retries, Row, Session, race

Connect = Callable[[], Session]

DURATION_S = 8
PRODUCTS = 4
STOCK = 400
KEYS = 3000

INSUFFICIENT_STOCK, ORDER_NOT_PAID = 30102, 30304


class Sale:
    """State that the callers of one sale share: the products, the end of the sale, and the answers so far."""

    def __init__(self, products: list[int]) -> None:
        self.products = products
        self.ends_at = time.monotonic() + DURATION_S
        self.hold_of_key: dict[str, int] = {}
        self.requests_of_holds: dict[int, tuple[int, int]] = {}
        self.holds: list[int] = []
        self.orders: list[int] = []
        self.retries: dict[str, Retries] = {}

    def is_on(self) -> bool:
        """Whether the sale goes on."""
        return time.monotonic() < self.ends_at

    def told(self, request: Row, row: Row) -> None:
        """Record the answer to a request; every sender of a key must get the same hold."""
        assert row["errno"] in (None, INSUFFICIENT_STOCK), (request, row)
        if row["errno"] is None:
            key, hold_id = request["idempotency_key"], row["hold_id"]
            assert self.hold_of_key.setdefault(key, hold_id) == hold_id
            self.requests_of_holds[hold_id] = (request["product_id"], request["quantity"])
            self.holds.append(hold_id)

    def request(self, number: int) -> Row:
        """The request of a key, the same for all senders."""
        product_id = self.products[number % PRODUCTS]
        return {"product_id": product_id, "quantity": 1 + number % 3, "idempotency_key": f"sale {number}"}


def buy(sale: Sale, session: Session, retries: Retries, chosen: random.Random, direction: int) -> None:
    """Hold batches whose products are in ascending or descending order."""
    newest = 1
    while sale.is_on():
        newest = min(KEYS, newest + 20)
        numbers = [chosen.randrange(max(0, newest - 200), newest) for _ in range(chosen.randint(1, 30))]
        requests = [sale.request(number) for number in sorted(numbers, key=lambda n: direction * (n % PRODUCTS))]
        rows = retries.run(partial(session.batch, "create_holds", requests))
        for request, row in zip(requests, rows, strict=True):
            sale.told(request, row)


def order(sale: Sale, session: Session, retries: Retries, chosen: random.Random) -> None:
    """Order random holds, which may be used, released or due."""
    while sale.is_on():
        holds = some(sale.holds, chosen)
        requests = [{"hold_id": hold_id, "idempotency_key": f"order {hold_id}"} for hold_id in holds]
        for row in retries.run(partial(session.batch, "create_orders", requests)):
            assert row["errno"] in (None, 30202, 30203, 30204)
            if row["errno"] is None:
                sale.orders.append(row["order_id"])


def pay(sale: Sale, session: Session, retries: Retries, chosen: random.Random) -> None:
    """Deliver events, also repeatedly, for orders that exist and for the next ones."""
    while sale.is_on():
        latest = max(sale.orders, default=0)
        ids = some(sale.orders, chosen) + [latest + chosen.randint(1, 5) for _ in range(3)]
        events = [
            {"idempotency_key": f"{status} {order_id}", "order_id": order_id, "status": status}
            for order_id in ids
            for status in [chosen.choice(("success", "failure"))]
        ]
        assert {row["errno"] for row in retries.run(partial(session.batch, "apply_payments", events))} == {None}


def give_back(sale: Sale, session: Session, retries: Retries, chosen: random.Random) -> None:
    """Cancel orders and release holds."""
    while sale.is_on():
        for procedure, ids, refusals in (
            ("cancel_orders", sale.orders, {None, 30302}),
            ("release_holds", sale.holds, {None, 30202, 30203}),
        ):
            answers = retries.run(partial(session.batch, procedure, some(ids, chosen)[:4]))
            assert {row["errno"] for row in answers} <= refusals


def refund(sale: Sale, session: Session, retries: Retries, chosen: random.Random, direction: int) -> None:
    """Refund random orders, in ascending or descending order, each always under the same key."""
    while sale.is_on():
        orders = sorted(some(sale.orders, chosen), reverse=direction < 0)
        requests = [
            {"order_id": order_id, "restock": order_id % 3 > 0, "idempotency_key": f"refund {order_id}"}
            for order_id in orders
        ]
        answers = retries.run(partial(session.batch, "refund_orders", requests))
        assert {row["errno"] for row in answers} <= {None, ORDER_NOT_PAID}


def sweep(sale: Sale, session: Session, retries: Retries, chosen: random.Random) -> None:
    """Sweep, settle and purge, as cron and the EVENT do."""
    while sale.is_on():
        retries.run(partial(session.call, "expire_due", chosen.randint(1, 100)))
        retries.run(partial(session.call, "settle_waiting_payments", 1000))
        retries.run(partial(session.call, "purge_history", 1000))
        assert session.call("check_stock") == []


def administer(sale: Sale, session: Session, retries: Retries, chosen: random.Random) -> None:
    """Change stock, products and settings, and hold single units, as a DBA does."""
    while sale.is_on():
        product_id = chosen.choice(sale.products)
        acts: list[tuple[Any, ...]] = [
            ("adjust_stock", product_id, chosen.choice((-3, 3)), "counted", None),
            ("change_product", product_id, "Limited Edition Item", "9.99", None),
            ("change_setting", "hold_ttl_s", chosen.randint(1, 2)),
            ("create_hold", product_id, 1, None),
        ]
        for procedure, *arguments in acts:
            try:
                retries.run(partial(session.call, procedure, *arguments))
            except mysql.connector.Error as error:
                if error.errno != INSUFFICIENT_STOCK:
                    raise


def some(ids: list[int], chosen: random.Random) -> list[int]:
    """Up to ten of the latest ids, in random order."""
    return chosen.sample(ids[-60:], min(len(ids[-60:]), 10))


def test_concurrent_callers_of_every_kind_lose_no_unit(session: Session, connect: Connect) -> None:
    session.call("change_setting", "hold_ttl_s", 1)
    session.call("change_setting", "payment_ttl_s", 2)
    sale = Sale([session.create_product(STOCK) for _ in range(PRODUCTS)])
    callers: list[tuple[str, Callable[..., None], tuple[int, ...]]] = [
        *((f"buy {number}", buy, (1 - 2 * (number % 2),)) for number in range(4)),
        *((f"refund {direction}", refund, (direction,)) for direction in (1, -1)),
        *((act.__name__, act, ()) for act in (order, pay, give_back, sweep, administer)),
    ]
    sale.retries = {name: Retries() for name, _, _ in callers}
    race(
        *(
            partial(act, sale, connect(), sale.retries[name], random.Random(name), *arguments)
            for name, act, arguments in callers
        )
    )
    counts = {name: retries.count for name, retries in sale.retries.items()}
    print(f"{len(sale.hold_of_key)} holds, {len(set(sale.orders))} orders; deadlocks: {counts}")
    assert_told_is_true(session, sale)
    assert_payments_are_settled(session)
    refunds = session.query("SELECT COUNT(*) AS number, COUNT(DISTINCT order_id) AS orders FROM refunds")[0]
    assert refunds["number"] == refunds["orders"] > 0


def assert_told_is_true(session: Session, sale: Sale) -> None:
    """Check that exactly the holds exist that callers were told of, with their products and quantities."""
    rows = session.query("SELECT id, product_id, quantity FROM holds")
    holds = {row["id"]: (row["product_id"], row["quantity"]) for row in rows}
    assert sale.requests_of_holds.items() <= holds.items()
    assert len(set(sale.hold_of_key.values())) == len(sale.hold_of_key)
    of_buyers = session.query("SELECT COUNT(*) AS holds FROM idempotency_keys WHERE idempotency_key LIKE 'sale %'")
    assert of_buyers == [{"holds": len(sale.hold_of_key)}]
    for product_id in sale.products:
        (row,) = session.query(
            "SELECT total, (SELECT SUM(quantity) FROM stock_adjustments WHERE product_id = %s) AS adjusted "
            "FROM stock WHERE product_id = %s",
            product_id,
            product_id,
        )
        assert row["total"] == row["adjusted"]


def assert_payments_are_settled(session: Session) -> None:
    """Check that no event waits for an order that exists, and that the one applied event decided its order."""
    stuck = "SELECT 1 FROM payment_events AS e INNER JOIN orders AS o ON o.id = e.order_id WHERE e.outcome = 'waiting'"
    assert session.query(stuck) == []
    rows = session.query(
        "SELECT o.id, o.status, COUNT(e.id) AS applied, MAX(e.status) AS by_event FROM orders AS o "
        "LEFT JOIN payment_events AS e ON e.order_id = o.id AND e.outcome = 'applied' GROUP BY o.id"
    )
    for row in rows:
        assert row["applied"] <= 1
        if row["applied"]:
            assert row["status"] in {"success": ("paid", "refunded"), "failure": ("cancelled",)}[row["by_event"]]
        else:
            assert row["status"] not in ("paid", "refunded")
