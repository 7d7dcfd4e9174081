"""Hypothesis sends random sequences of requests and compares the responses with the model of the procedures."""

import uuid
from collections.abc import Callable

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from service.errors import ERRORS
from tests.http.support import hold_request, order_request, payment_request, reduction_request, refund_request
from tests.procedures.model import (
    AVAILABLE,
    ORDERS_TO_COME,
    Model,
    Refund,
    and_next,
    if_held,
    if_ordered,
    latest,
    quantities,
    refunds,
)
from tests.support import NOBODYS_ID, Row, Session

positions = st.integers(0, 11)  # of a thing among the latest ones
keys = st.one_of(st.none(), st.integers(1, 12).map(str))
statuses = st.sampled_from(("success", "success", "failure", "failed", "paid"))


class Checkout(RuleBasedStateMachine):
    """One example: two products of its own, and a shop's back end, a payment provider and time."""

    client: httpx.Client
    session: Session

    @initialize(units=st.tuples(st.integers(0, 4), st.integers(10, 30)))
    def open_shop(self, units: tuple[int, int]) -> None:
        """Products, an own range of keys, and no payment that waits for an order of this example."""
        self.prefix = f"{uuid.uuid4()}/"
        self.session.execute("DELETE FROM payment_events WHERE outcome = 'waiting'")
        self.model = Model({self.session.create_product(number): number for number in units})
        self.last_order_id = self.session.create_order(self.session.create_product(1))

    def product(self, position: int) -> int:
        """One of the products, or nobody's."""
        return [*self.model.stock, NOBODYS_ID][position % 3]

    def ask(self, request: Row, status: int, id_name: str | None, answer: Callable[[int], Row]) -> Row:
        """Send a request; compare status, errno, replay and id with the model's answer; returns the document."""
        response = self.client.request(**request)
        document: Row = response.json() if response.content else {}
        expected = answer(document.get(id_name or "", 0))
        errno = expected.get("errno")
        assert document.get("errno") == errno, (request, response.text, expected)
        if errno is not None:
            assert (response.status_code, document["code"]) == (ERRORS[errno].status, ERRORS[errno].slug)
            return {}
        assert response.status_code == status, (request, response.text)
        if "id" in expected:
            assert document[id_name or ""] == expected["id"]
            assert ("Idempotent-Replayed" in response.headers) == bool(expected.get("replayed"))
        return document

    @rule(position=positions, quantity=quantities, number=keys)
    def hold(self, position: int, quantity: int, number: str | None) -> None:
        """A hold."""
        key = None if number is None else self.prefix + number
        wanted = {"product_id": self.product(position), "quantity": quantity, "idempotency_key": key}
        request = hold_request(self.product(position), quantity, key)
        self.ask(request, 201, "hold_id", lambda new_id: self.model.create_hold(wanted, new_id))

    @if_held
    @rule(place=st.one_of(positions, st.lists(positions, min_size=1, max_size=4)), number=keys)
    def order(self, place: int | list[int], number: str | None) -> None:
        """An order of one or several holds; its id is the next."""
        key = None if number is None else self.prefix + number
        known = len(self.model.orders)
        if isinstance(place, int):
            wanted: Row = {"hold_id": latest(self.model.holds, place)}
        else:
            wanted = {"hold_ids": [latest(self.model.holds, position) for position in place]}
        (holds,) = wanted.values()
        wanted["idempotency_key"] = key
        document = self.ask(
            order_request(holds, key), 201, "order_id", lambda new_id: self.model.create_order(wanted, new_id)
        )
        if len(self.model.orders) > known:
            self.last_order_id += 1
            assert document["order_id"] == self.last_order_id
            assert document["status"] == self.model.orders[self.last_order_id].status

    @rule(position=positions, number=st.integers(1, 20), status=statuses)
    def pay(self, position: int, number: int, status: str) -> None:
        """A payment event, of an order that exists or comes next."""
        self.sweep()  # an overdue order that is paid before it is swept has a test of its own
        order_id = latest(and_next(self.model.orders, self.last_order_id), position)
        key = f"{self.prefix}{number}"
        event = {"idempotency_key": key, "order_id": order_id, "status": status}
        expected = self.model.apply_payment(event, 0)
        is_waiting = "errno" not in expected and self.model.events[key].outcome == "waiting"
        document = self.ask(
            payment_request(key, order_id, status), 202 if is_waiting else 200, None, lambda _: expected
        )
        if document:
            order = self.model.orders.get(order_id)
            assert document["outcome"] == self.model.events[key].outcome
            assert document["status"] == (order.status if order else None)

    @rule(
        position=st.integers(0, 1),
        quantity=quantities,
        events=st.lists(st.tuples(st.integers(1, 20), statuses), max_size=3),
        returned=st.one_of(st.none(), refunds),
    )
    def buy(self, position: int, quantity: int, events: list[tuple[int, str]], returned: Refund | None) -> None:
        """A buyer who goes all the way, whose payment may be reported more than once, and who may return units."""
        known = len(self.model.orders)
        self.hold(position, quantity, None)
        self.order(0, None)
        if len(self.model.orders) > known:
            for number, status in events:
                self.pay(ORDERS_TO_COME, number, status)
            if returned is not None:
                self.pay(ORDERS_TO_COME, 100 + self.last_order_id, "success")
                self.refund(0, returned, None)

    @if_held
    @rule(position=positions)
    def release(self, position: int) -> None:
        """A hold is given back."""
        hold_id = latest(self.model.holds, position)
        request = {"method": "DELETE", "url": f"/api/holds/{hold_id}"}
        self.ask(request, 204, None, lambda _: self.model.release_hold(hold_id, 0))

    @if_held
    @rule(position=positions, quantity=quantities)
    def reduce(self, position: int, quantity: int) -> None:
        """A hold of fewer units."""
        hold_id = latest(self.model.holds, position)
        request = reduction_request(hold_id, quantity)
        self.ask(request, 200, None, lambda _: self.model.reduce_hold([hold_id, "", quantity], 0))

    @if_held
    @rule(position=positions)
    def extend(self, position: int) -> None:
        """A hold gets more time."""
        hold_id = latest(self.model.holds, position)
        request = {"method": "POST", "url": f"/api/holds/{hold_id}/extend"}
        self.ask(request, 200, None, lambda _: self.model.extend_hold(hold_id, 0))

    @if_ordered
    @rule(position=positions)
    def cancel(self, position: int) -> None:
        """An order is cancelled."""
        self.sweep()
        order_id = latest(self.model.orders, position)
        request = {"method": "POST", "url": f"/api/orders/{order_id}/cancel"}
        self.ask(request, 200, None, lambda _: self.model.cancel_order(order_id, 0))

    @if_ordered
    @rule(position=positions)
    def start_payment(self, position: int) -> None:
        """An order gets more time."""
        self.sweep()
        order_id = latest(self.model.orders, position)
        request = {"method": "POST", "url": f"/api/orders/{order_id}/start-payment"}
        self.ask(request, 200, None, lambda _: self.model.start_payment(order_id, 0))

    @if_ordered
    @rule(position=positions, wanted=refunds, number=keys)
    def refund(self, position: int, wanted: Refund, number: str | None) -> None:
        """Units of an order are refunded, or all that are left."""
        order_id = latest(self.model.paid_last(), position)
        restock, lines = wanted
        listed = lines and {self.model.hold_of(order_id, place): quantity for place, quantity in lines}
        key = None if number is None else self.prefix + number
        request = refund_request(order_id, listed, restock=restock, key=key)
        element = {"order_id": order_id, "idempotency_key": key, **request["json"]}
        document = self.ask(request, 201, "refund_id", lambda new_id: self.model.refund_order(element, new_id))
        if document:
            expected = self.model.refunds[document["refund_id"]]
            assert (document["amount"], document["status"]) == (float(expected["amount"]), expected["status"])

    @rule()
    def sweep(self) -> None:
        """What the EVENT does."""
        self.session.call("expire_due", 100_000)
        self.model.sweep()

    # Multiples of 80 keep 20 s distance from every deadline, 120, 180, 900 or 1800 s away, so that an example's own
    # seconds change nothing.
    @rule(seconds=st.sampled_from((80, 240, 1040)))
    def wait(self, seconds: int) -> None:
        """Time passes: everything that exists is so much older."""
        self.session.execute("UPDATE holds SET expires_at = expires_at - INTERVAL %s SECOND", seconds)
        self.session.execute("UPDATE orders SET payment_due_at = payment_due_at - INTERVAL %s SECOND", seconds)
        self.model.now += seconds

    @invariant()
    def stock_is_in_one_place(self) -> None:
        """Nothing is lost or sold twice, and what may be had is what the model says."""
        assert self.session.call("check_stock") == []
        for product_id in self.model.stock:
            (row,) = self.session.query(AVAILABLE, product_id)
            assert row["units"] == self.model.available(product_id)

    @invariant()
    def reads_say_what_happened(self) -> None:
        """The latest holds and orders read as the model has them; an overdue order's status depends on who swept."""
        for hold_id, hold in list(self.model.holds.items())[-3:]:
            is_due = hold.status == "active" and hold.expires_at <= self.model.now
            document = self.client.get(f"/api/holds/{hold_id}").json()
            assert (document["quantity"], document["status"]) == (hold.quantity, "expired" if is_due else hold.status)
        for order_id, order in list(self.model.orders.items())[-3:]:
            document = self.client.get(f"/api/orders/{order_id}").json()
            assert document["amount"] == float(order.amount)
            assert document["status"] == order.status or order.due_at <= self.model.now


@pytest.mark.timeout(3600)
def test_any_sequence_of_requests_is_answered_as_by_the_model(client: httpx.Client, session: Session) -> None:
    machine = type("Machine", (Checkout,), {"client": client, "session": session})
    run_state_machine_as_test(machine, settings=settings(max_examples=settings.default.max_examples // 4))
