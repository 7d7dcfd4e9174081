"""Selling rules under load: no customer has more than the maximum, and a sale opens and closes on its second."""

import random
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest

from tests.support import Retries, Row, Session, race

Connect = Callable[[], Session]

CUSTOMERS = 6
MAXIMUM = 3
ROUNDS = 50
WINDOWS = ("hold_ttl_s", "hold_extension_s", "payment_ttl_s", "payment_started_ttl_s")

TOO_MANY = (
    "SELECT customer_id, SUM(quantity) AS had FROM customer_units GROUP BY customer_id, product_id HAVING had > %s"
)
# Units count for their customer exactly as long as they are out of stock. One statement reads one snapshot.
MISCOUNTED = """
SELECT hold.id, hold.status, order_.status AS order_status, counted.quantity
FROM holds AS hold
LEFT JOIN order_lines AS line ON line.hold_id = hold.id
LEFT JOIN orders AS order_ ON order_.id = line.order_id
LEFT JOIN customer_units AS counted ON counted.hold_id = hold.id
WHERE
    COALESCE(counted.quantity, 0)
    <> IF(hold.status = 'active' OR COALESCE(order_.status IN ('pending', 'paid'), FALSE), hold.quantity, 0)
"""


@pytest.fixture(autouse=True)
def _short_deadlines(session: Session) -> Iterator[None]:
    usual = {row["name"]: row["value"] for row in session.query("SELECT name, value FROM settings")}
    # All of them, because an order that may be paid for half an hour would keep its units from the buyers.
    for name in WINDOWS:
        session.call("change_setting", name, 1)
    yield
    for name in WINDOWS:
        session.call("change_setting", name, usual[name])


class Crowd:
    """State that clients of a few customers share: products, holds, orders, and whether the buyers have finished."""

    def __init__(self, products: list[int]) -> None:
        self.products = products
        self.holds: list[int] = [0]
        self.orders: list[int] = [0]
        self.is_over = threading.Event()

    def buy(self, session: Session, chosen: random.Random) -> int:
        """Hold for random customers until a hold has expired; returns how many requests were refused."""
        refused, retries = 0, Retries()
        for number in count():
            if number >= ROUNDS and session.query("SELECT 1 FROM holds WHERE status = 'expired' LIMIT 1"):
                break
            requests: list[Row] = [
                {
                    "product_id": chosen.choice(self.products),
                    "quantity": chosen.choice((1, 1, 2, MAXIMUM)),
                    "customer_id": f"customer {chosen.randrange(CUSTOMERS)}",
                    "idempotency_key": f"{id(session)} {number} {position}",
                }
                for position in range(chosen.choice((1, 4, 12)))
            ]
            rows = retries.run(partial(session.batch, "create_holds", requests))
            assert {row["errno"] for row in rows} <= {None, 30105}
            self.holds += [row["hold_id"] for row in rows if row["errno"] is None]
            refused += sum(row["errno"] is not None for row in rows)
        return refused

    def act(self, session: Session, chosen: random.Random, procedure: str) -> int:
        """Call a procedure with random ids until the buyers have finished; returns how many elements were accepted."""
        done, retries = 0, Retries()
        while not self.is_over.is_set():
            if procedure == "expire_due":
                retries.run(partial(session.call, "expire_due", 5))
                done += 1  # a buyer who reached the maximum may have swept everything
                continue
            ids = (self.orders if procedure in ("cancel_orders", "start_payments") else self.holds)[-30:]
            elements = chosen.sample(ids, min(3, len(ids)))
            batch = [{"hold_id": hold_id} for hold_id in elements] if procedure == "create_orders" else elements
            rows = retries.run(partial(session.batch, procedure, batch))
            accepted = [row for row in rows if row["errno"] is None]
            if procedure == "create_orders":
                self.orders += [row["order_id"] for row in accepted]
            done += len(accepted)
        return done

    def watch(self, session: Session) -> int:
        """Compare customers' units with their holds and orders until the buyers have finished; returns how often."""
        looks = 0
        while not self.is_over.is_set():
            assert session.query(TOO_MANY, MAXIMUM) == []
            assert session.query(MISCOUNTED) == []
            looks += 1
        return looks


def test_no_customer_ever_has_more_than_the_maximum(session: Session, connect: Connect) -> None:
    products = [session.create_product(stock=10_000) for _ in range(2)]
    for product_id in products:
        session.call("set_selling_rules", product_id, None, None, MAXIMUM)
    # Nobody else knows this hold, so it expires.
    session.batch(
        "create_holds", [{"product_id": products[0], "quantity": 1, "customer_id": "a customer who never returns"}]
    )
    crowd = Crowd(products)
    buyers = threading.Barrier(4, action=crowd.is_over.set)

    def buy(number: int, buyer: Session) -> int:
        try:
            return crowd.buy(buyer, random.Random(number))
        finally:
            buyers.wait()

    others = ["extend_holds", "release_holds", "create_orders", "cancel_orders", "start_payments", "expire_due"]
    results = race(
        *(partial(buy, number, connect()) for number in range(4)),
        *(partial(crowd.act, connect(), random.Random(procedure), procedure) for procedure in others),
        partial(crowd.watch, connect()),
    )
    assert all(results), f"not every kind of act took part: {results}"
    assert session.query(TOO_MANY, MAXIMUM) == []
    session.sweep_everything()
    assert session.query("SELECT * FROM customer_units") == []
    full = [
        {"product_id": product_id, "quantity": MAXIMUM, "customer_id": f"customer {number}"}
        for number in range(CUSTOMERS)
        for product_id in products
    ]
    assert session.errnos("create_holds", full + full) == [None] * len(full) + [30105] * len(full)


def test_a_sale_opens_and_closes_on_its_second_under_load(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=1_000_000)
    (row,) = session.query(
        "SELECT UTC_TIMESTAMP() + INTERVAL 2 SECOND AS opens, UTC_TIMESTAMP() + INTERVAL 4 SECOND AS closes"
    )
    opens, closes = row["opens"], row["closes"]
    session.call("set_selling_rules", product_id, opens, closes, None)

    def buy(buyer: Session, size: int) -> tuple[str, list[datetime]]:
        answers, deadlines = "", []
        is_over = False
        while not is_over:
            is_over = buyer.query("SELECT UTC_TIMESTAMP() > %s AS is_over", closes)[0]["is_over"]
            rows = buyer.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * size)
            assert len({row["errno"] for row in rows}) == 1, "a batch of one product is decided at one moment"
            answers += "open" if rows[0]["errno"] is None else "closed"
            assert rows[0]["errno"] in (None, 30104)
            deadlines += [row["expires_at"] for row in rows if row["errno"] is None]
        return answers, deadlines

    results = race(*(partial(buy, connect(), size) for size in (1, 1, 10, 100)))
    for answers, deadlines in results:
        assert re.fullmatch("(closed)+(open)+(closed)+", answers)
        assert opens + timedelta(seconds=1) <= min(deadlines)
        assert max(deadlines) <= closes + timedelta(seconds=1)
    (held,) = session.query("SELECT COUNT(*) AS holds FROM holds WHERE product_id = %s", product_id)
    assert held["holds"] == sum(len(deadlines) for _, deadlines in results)


def test_a_hold_that_waits_for_stock_until_its_sale_has_closed_is_refused(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=5)
    (row,) = session.query("SELECT UTC_TIMESTAMP() + INTERVAL 2 SECOND AS closes")
    session.call("set_selling_rules", product_id, None, row["closes"], None)
    keeper, buyer = connect(), connect()
    buyer.execute("SET innodb_lock_wait_timeout = 10")
    keeper.execute("START TRANSACTION")
    keeper.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)

    def keep_locked_until_closed() -> None:
        while session.query("SELECT UTC_TIMESTAMP() < %s AS is_open", row["closes"])[0]["is_open"]:
            pass
        keeper.execute("COMMIT")

    errno, _ = race(partial(buyer.errno, "create_hold", product_id, 1, None), keep_locked_until_closed)
    assert errno == 30104
    assert session.available(product_id) == 5


def test_a_concurrent_retry_gets_its_hold_and_is_not_refused_for_the_maximum(
    session: Session, connect: Connect
) -> None:
    """The first send may commit while a retry is evaluated; then its customer already has the maximum."""
    session.call("change_setting", "hold_ttl_s", 120)
    product_id = session.create_product(stock=1000)
    session.call("set_selling_rules", product_id, None, None, 1)

    def send(sender: Session) -> list[tuple[int | None, int | None]]:
        rows = []
        for number in range(20):
            request = {
                "product_id": product_id,
                "quantity": 1,
                "customer_id": f"{number}",
                "idempotency_key": f"k{number}",
            }
            rows += Retries().run(partial(sender.batch, "create_holds", [request]))
        return [(row["hold_id"], row["errno"]) for row in rows]

    first, *others = race(*(partial(send, connect()) for _ in range(12)))
    assert all(other == first for other in others)
    assert {errno for _, errno in first} == {None}
    assert session.available(product_id) == 980
