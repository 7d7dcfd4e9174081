"""Random batches of every kind answer what their requests answer one after another, by a model in Python."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.procedures.model import NOBODYS_ID, Model, Rules
from tests.support import Row, Session

START_S = 2_000_000_000
EPOCH = datetime(1970, 1, 1)


class Shop:
    """Three products of small stock, real and modelled, and random requests for them."""

    def __init__(self, session: Session, seed: int, largest_batch: int) -> None:
        self.session = session
        self.random = random.Random(seed)
        self.largest_batch = largest_batch
        self.prefix = f"{seed}/{largest_batch}/"
        stock = (0, self.random.randint(1, 4), self.random.randint(5, 30))
        self.model = Model({session.create_product(units): units for units in stock}, now=START_S)
        self.last_order_id = self.session.create_order(session.create_product(1))

    def key(self) -> Row:
        """An idempotency key as a member, mostly one of a few, so that they repeat; sometimes none."""
        if self.random.random() < 0.2:
            return {}
        return {"idempotency_key": f"{self.prefix}{self.random.randint(1, 25)}"}

    def one_of(self, ids: list[int]) -> int:
        """One of the latest ids, sometimes nobody's."""
        return NOBODYS_ID if not ids or self.random.random() < 0.05 else self.random.choice(ids[-20:])

    def a_hold(self) -> Row:
        """A request of create_holds."""
        product_id = self.random.choice([*self.model.stock, *self.model.stock, NOBODYS_ID])
        quantity = self.random.choice((0, 1, 1, 1, 2, 3, 9))
        customer = self.random.choice(({}, {"customer_id": None}, {"customer_id": "ada"}, {"customer_id": "bob"}))
        return {"product_id": product_id, "quantity": quantity, **customer, **self.key()}

    def an_order(self) -> Row:
        """A request of create_orders."""
        return {"hold_id": self.one_of(list(self.model.holds)), **self.key()}

    def an_event(self) -> Row:
        """An event for an order that exists, or for one of the next."""
        order_id = self.one_of([*self.model.orders, *range(self.last_order_id + 1, self.last_order_id + 6)])
        status = self.random.choice((*["success"] * 4, "failure", "failed", "declined", "refunded", "disputed", "paid"))
        amount = str(self.model.orders[order_id].amount) if order_id in self.model.orders else "100.00"
        return {
            "idempotency_key": f"{self.prefix}{self.random.randint(1, 60)}",
            "order_id": order_id,
            "status": status,
            "payment_id": self.random.choice((None, f"{order_id}/1", f"{order_id}/2")),
            "amount": self.random.choice((None, amount, amount, "99.99")),
        }

    def batch(self, make: Callable[[], Any]) -> list[Any]:
        """Requests of one kind, as many as this shop's batches may have."""
        return [make() for _ in range(self.random.randint(1, self.largest_batch))]

    def compare(self, procedure: str, requests: list[Any], answer: Callable[[Any, int], Row]) -> list[Row]:
        """CALL a batch procedure and hold each row against the model's answer."""
        rows = self.session.batch(procedure, requests)
        assert len(rows) == len(requests)
        for request, row in zip(requests, rows, strict=True):
            new_id = next(iter(row.values()))
            expected = {"errno": None, "replayed": 0, **answer(request, new_id)}
            found = {"errno": row["errno"], "replayed": row["replayed"]}
            if "id" in expected:
                found["id"] = new_id
            assert found == expected, f"{procedure} {request} in {requests}"
        return rows

    def hold(self) -> None:
        """One batch of holds."""
        self.compare("create_holds", self.batch(self.a_hold), self.model.create_hold)

    def order(self) -> None:
        """One batch of orders; their ids leave no gap."""
        known = len(self.model.orders)
        rows = self.compare("create_orders", self.batch(self.an_order), self.model.create_order)
        new = [row["order_id"] for row in rows if row["errno"] is None and not row["replayed"]]
        assert sorted(new) == list(range(self.last_order_id + 1, self.last_order_id + 1 + len(new)))
        assert len(self.model.orders) == known + len(new)
        self.last_order_id += len(new)

    def pay(self) -> None:
        """One batch of events, then each of them has its outcome."""
        self.wait(1)  # arrival order is by the clock
        self.sweep()
        events = self.batch(self.an_event)
        rows = self.compare("apply_payments", events, self.model.apply_payment)
        for event, row in zip(events, rows, strict=True):
            if row["errno"] is None:
                assert row["outcome"] == self.model.events[event["idempotency_key"]].outcome, (event, events)

    def rule(self) -> None:
        """New rules for one of the products."""
        product_id = self.random.choice(list(self.model.stock))
        starts_at = self.random.choice((None, None, self.model.now - 50, self.model.now + 50))
        ends_at = self.random.choice((None, None, self.model.now, self.model.now + 200))
        if starts_at is not None and ends_at is not None and starts_at >= ends_at:
            starts_at = None
        rules = Rules(starts_at, ends_at, self.random.choice((None, 1, 3, 5)))
        self.model.rules[product_id] = rules
        moments = [None if moment is None else EPOCH + timedelta(seconds=moment) for moment in (starts_at, ends_at)]
        self.session.call("set_selling_rules", product_id, *moments, rules.maximum_per_customer)

    def extend(self) -> None:
        """One batch of extensions; each answers the hold's deadline."""
        ids = self.batch(lambda: self.one_of(list(self.model.holds)))
        for row in self.compare("extend_holds", ids, self.model.extend_hold):
            if row["errno"] is None:
                assert row["expires_at"] == EPOCH + timedelta(seconds=self.model.holds[row["hold_id"]].expires_at)

    def start(self) -> None:
        """One batch of buyers who are paying; each answers the order's deadline."""
        self.sweep()
        ids = self.batch(lambda: self.one_of(list(self.model.orders)))
        for row in self.compare("start_payments", ids, self.model.start_payment):
            if row["errno"] is None:
                assert row["payment_due_at"] == EPOCH + timedelta(seconds=self.model.orders[row["order_id"]].due_at)

    def release(self) -> None:
        """One batch of releases."""
        ids = self.batch(lambda: self.one_of(list(self.model.holds)))
        self.compare("release_holds", ids, self.model.release_hold)

    def cancel(self) -> None:
        """One batch of cancellations."""
        self.sweep()
        ids = self.batch(lambda: self.one_of(list(self.model.orders)))
        self.compare("cancel_orders", ids, self.model.cancel_order)

    def sweep(self) -> None:
        """Expire what is due."""
        self.session.call("expire_due", 1000)
        self.model.sweep()

    def wait(self, seconds: int = 0) -> None:
        """Let time pass."""
        self.model.now += seconds or self.random.choice((1, 30, 120, 400))
        self.session.stand_at(str(self.model.now))

    def close(self) -> None:
        """Hold what is left against the model."""
        self.sweep()
        for product_id in self.model.stock:
            assert self.session.available(product_id) == self.model.available(product_id)
        for hold_id, hold in self.model.holds.items():
            assert self.session.status_of("hold", hold_id) == hold.status
        for order_id, order in self.model.orders.items():
            assert self.session.status_of("order", order_id) == order.status
        rows = self.session.query(
            "SELECT product_id, customer_id, SUM(quantity) AS had FROM customer_units GROUP BY 1, 2"
        )
        for row in rows:
            if row["product_id"] in self.model.stock:
                assert row["had"] == self.model.had(row["product_id"], row["customer_id"].decode())


@pytest.mark.parametrize("largest_batch", [1, 8, 40])
@pytest.mark.parametrize("seed", range(5))
def test_random_batches_answer_as_their_requests_one_after_another(
    session: Session, seed: int, largest_batch: int
) -> None:
    session.sweep_everything()
    session.execute("DELETE FROM payment_events WHERE outcome = 'waiting'")
    shop = Shop(session, seed, largest_batch)
    shop.wait()
    steps = (*[shop.hold] * 4, *[shop.order] * 2, shop.pay, shop.release, shop.cancel, shop.extend, shop.start)
    for _ in range(50 if largest_batch > 1 else 150):
        shop.random.choice((*steps, shop.rule, shop.sweep, shop.wait))()
    shop.close()
