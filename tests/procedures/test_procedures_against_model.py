"""Hypothesis looks for a sequence of CALLs, time passing in between, that the model in Python answers otherwise."""

from collections.abc import Callable
from typing import Any, ClassVar

import mysql.connector
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.procedures.model import Model
from tests.support import Row, Session

START_S = 2_000_000_000
LATER_S = 2_100_000_000  # when all that earlier examples left is due

# Units that may be held, those of due holds and orders included, swept or not.
AVAILABLE = """
SELECT
    (SELECT available FROM stock WHERE product_id = %s)
    + (
        SELECT COALESCE(SUM(quantity), 0) FROM holds
        WHERE product_id = %s AND status = 'active' AND expires_at <= UTC_TIMESTAMP()
    ) + (
        SELECT COALESCE(SUM(quantity), 0) FROM orders
        WHERE product_id = %s AND status = 'pending' AND payment_due_at <= UTC_TIMESTAMP()
    ) AS units
"""

positions = st.integers(0, 5)
keys = st.none() | st.sampled_from("abcd")


class Procedures(RuleBasedStateMachine):
    """A shop with two products, whose clock stands still between the steps."""

    session: ClassVar[Session]

    @initialize(stocks=st.tuples(st.integers(1, 4), st.integers(5, 9)))
    def open(self, stocks: tuple[int, int]) -> None:
        """Put two products on sale, with nothing left of earlier examples."""
        self.session.stand_at(str(LATER_S))
        self.session.call("expire_due", 100_000)
        self.session.execute("DELETE FROM payment_events")
        self.session.execute("DELETE FROM idempotency_keys")
        self.session.stand_at(str(START_S))
        self.model = Model({self.session.create_product(stock): stock for stock in stocks}, now=START_S)
        self.products = list(self.model.stock)
        self.last_order_id = self.session.create_order(self.session.create_product(1))

    def call(self, procedure: str, request: Any, arguments: list[Any], answer: Callable[[Any, int], Row]) -> None:
        """CALL, and hold what it says against the model's answer."""
        row: Row = {"errno": None}
        try:
            row |= self.session.call(procedure, *arguments)[0]
        except mysql.connector.Error as error:
            if error.sqlstate != "45000":
                raise
            row |= {"errno": error.errno, "replayed": 0}
        new_id = list(row.values())[1]
        expected = {"errno": None, "replayed": 0, **answer(request, new_id)}
        found = {name: new_id if name == "id" else row.get(name, 0) for name in expected}
        assert found == expected

    def one_of(self, ids: list[int], position: int) -> int:
        """One of some ids, mostly the latest."""
        return ids[-1 - position % len(ids)]

    @rule(position=st.integers(0, 1), quantity=st.integers(0, 3), key=keys)
    def hold(self, position: int, quantity: int, key: str | None) -> None:
        """Hold units."""
        request = {"product_id": self.products[position], "quantity": quantity, "idempotency_key": key}
        self.call("create_hold", request, list(request.values()), self.model.create_hold)

    @rule(position=positions, key=keys)
    @precondition(lambda self: self.model.holds)
    def order(self, position: int, key: str | None) -> None:
        """Order a hold; orders count up by one."""
        request = {"hold_id": self.one_of(list(self.model.holds), position), "idempotency_key": key}
        known = len(self.model.orders)
        self.call("create_order", request, list(request.values()), self.model.create_order)
        if len(self.model.orders) > known:
            self.last_order_id += 1
            assert self.last_order_id in self.model.orders

    @rule(position=st.integers(-2, 4), key=st.sampled_from("stuvwx"), status=st.sampled_from(("success", "failure")))
    def pay(self, position: int, key: str, status: str) -> None:
        """Deliver an event, also for one of the next orders."""
        self.wait(1)  # arrival order is by the clock
        self.sweep()
        ids = list(self.model.orders)
        order_id = self.one_of(ids, position) if ids and position >= 0 else self.last_order_id + 1 + abs(position)
        request = {"idempotency_key": key, "order_id": order_id, "status": status}
        self.call("apply_payment", request, list(request.values()), self.apply_payment)

    def apply_payment(self, request: Row, new_id: int) -> Row:
        """The model's answer, the outcome included."""
        answer = self.model.apply_payment(request, new_id)
        return (
            answer if "errno" in answer else answer | {"outcome": self.model.events[request["idempotency_key"]].outcome}
        )

    @rule(position=positions)
    @precondition(lambda self: self.model.holds)
    def release(self, position: int) -> None:
        """Give a hold back."""
        hold_id = self.one_of(list(self.model.holds), position)
        self.call("release_hold", hold_id, [hold_id], self.model.release_hold)

    @rule(position=positions)
    @precondition(lambda self: self.model.holds)
    def extend(self, position: int) -> None:
        """Give a hold more time."""
        hold_id = self.one_of(list(self.model.holds), position)
        self.call("extend_hold", hold_id, [hold_id], self.model.extend_hold)

    @rule(position=positions)
    @precondition(lambda self: self.model.orders)
    def cancel(self, position: int) -> None:
        """Cancel an order."""
        self.sweep()
        order_id = self.one_of(list(self.model.orders), position)
        self.call("cancel_order", order_id, [order_id], self.model.cancel_order)

    @rule(position=positions)
    @precondition(lambda self: self.model.orders)
    def start_payment(self, position: int) -> None:
        """Give an order more time."""
        self.sweep()
        order_id = self.one_of(list(self.model.orders), position)
        self.call("start_payment", order_id, [order_id], self.model.start_payment)

    @rule(position=st.integers(0, 1), quantity=st.integers(-4, 4).filter(bool))
    def adjust(self, position: int, quantity: int) -> None:
        """Add units or take some away."""
        self.sweep()
        request = (self.products[position], quantity)
        self.call("adjust_stock", request, [*request, "counted"], self.adjust_stock)

    def adjust_stock(self, request: tuple[int, int], _new_id: int) -> Row:
        """The model's answer."""
        product_id, quantity = request
        if self.model.available(product_id) + quantity < 0:
            return {"errno": 30102}
        self.model.stock[product_id] += quantity
        return {"replayed": 0}

    @rule()
    def sweep(self) -> None:
        """Expire what is due."""
        self.session.call("expire_due", 1000)
        self.model.sweep()

    @rule(seconds=st.sampled_from((1, 60, 119, 120, 900, 1800)))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.model.now += seconds
        self.session.stand_at(str(self.model.now))

    @invariant()
    def no_unit_is_lost(self) -> None:
        """Stock is what holds and orders say, and what the model says."""
        assert self.session.call("check_stock") == []
        for product_id in self.products:
            (row,) = self.session.query(AVAILABLE, product_id, product_id, product_id)
            assert row["units"] == self.model.available(product_id)

    def teardown(self) -> None:
        """Every hold ends as it does in the model."""
        for hold_id, hold in getattr(self, "model", Model({})).holds.items():
            is_due = hold.status == "active" and hold.expires_at <= self.model.now
            assert self.session.status_of("hold", hold_id) == ("expired" if is_due else hold.status)


def test_every_sequence_of_calls_answers_as_the_model_does(session: Session) -> None:
    Procedures.session = session
    is_thorough = settings.get_current_profile_name() == "thorough"
    run_state_machine_as_test(
        Procedures, settings=settings(max_examples=500 if is_thorough else 40, stateful_step_count=40)
    )
