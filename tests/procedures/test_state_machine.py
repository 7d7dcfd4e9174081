"""Hypothesis drives every procedure that changes something, single and in batches, through time, against the model."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import mysql.connector
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.procedures.model import (
    AVAILABLE,
    ORDERS_TO_COME,
    Model,
    Order,
    Refund,
    Rules,
    and_next,
    if_held,
    if_ordered,
    if_paid,
    latest,
    quantities,
    refunds,
)
from tests.support import NOBODYS_ID, Row, Session

START_S = 2_000_000_000
EPOCH = datetime(1970, 1, 1)

positions = st.integers(0, 11)  # of a thing among the latest ones
keys = st.one_of(st.none(), st.integers(1, 12).map(str))
customers = st.sampled_from((None, None, "ada", "bob"))
statuses = st.sampled_from(
    (
        *["success"] * 5,
        *("failure", "failed", "expired", "canceled"),
        *["refunded"] * 3,
        *("declined", "pending", "processing", "authorized", "disputed", "paid"),
    )
)
payments = st.sampled_from((None, None, "first card", "second card"))
amounts = st.sampled_from((None, None, "the order's", "the order's USD", "0", "99.999", "100.00", "1.5"))
payment_events = st.tuples(st.integers(1, 20), statuses, payments, amounts)
PaymentEvent = tuple[int, str, str | None, str | None]  # number of its key, status, payment_id, amount
windows = st.sampled_from((None, 1, 400, 1200, 1800, 1801))  # seconds
jumps_s = st.sampled_from((1, 30, 60, 120, 400, 900, 1800, 90_000))
days_s = st.sampled_from((0, 90_000, 2_700_000))


class Checkout(RuleBasedStateMachine):
    """One example: three products of its own, and all that may happen to them."""

    session: Session

    @initialize(units=st.tuples(st.integers(0, 3), st.integers(4, 12), st.integers(20, 40)))
    def open_shop(self, units: tuple[int, ...]) -> None:
        """Products that are being sold, an own range of keys, and no payment that came before for an order to be."""
        self.prefix = f"{uuid.uuid4()}/"
        self.session.execute("CALL change_setting('hold_ttl_s', 120)")
        self.model = Model({self.session.create_product(number): number for number in units}, now=START_S)
        self.last_order_id = self.first_order_id = self.session.create_order(self.session.create_product(1))
        self.first_hold_id = self.session.next_id("holds")
        self.session.execute("DELETE FROM payment_events WHERE order_id > %s", self.last_order_id)
        self.session.execute("DELETE FROM events")
        self.wait(1)
        self.create_holds([(1, 1, None, None), (1, 2, "ada", None), *[(2, 1, None, None)] * 4])
        self.create_orders([(0, None), (1, None), (5, None)], single=False)

    def product(self, position: int) -> int:
        """One of the products, or nobody's."""
        return [*self.model.stock, NOBODYS_ID][position % 4]

    def key(self, number: str | None) -> Row:
        """An idempotency key of this example as a member."""
        return {} if number is None else {"idempotency_key": self.prefix + number}

    def ask(self, procedure: str, elements: list[Any], answer: Callable[[Any, int], Row], *, single: bool) -> list[Row]:
        """CALL a batch procedure, or its single form with the members of the one element; compare every row."""
        rows = [self.single(procedure, elements[0])] if single else self.session.batch(procedure, elements)
        for element, row in zip(elements, rows, strict=True):
            new_id = next(iter(row.values()))
            expected = {"errno": None, "replayed": 0, **answer(element, new_id or 0)}
            found = {name: row.get(name) for name in ("errno", "replayed", *expected) if name != "id"}
            if "id" in expected:
                found["id"] = new_id
            assert found == expected, f"{procedure} {element} of {elements}"
        return rows

    def single(self, procedure: str, element: Any) -> Row:
        """The row of a single CALL, or one that carries the errno that it raised."""
        arguments = list(element.values()) if isinstance(element, dict) else [element]
        if procedure == "reduce_holds":
            arguments = element[::2]
        name = procedure.removesuffix("s")
        try:
            return {**self.session.call(name, *arguments)[0], "errno": None}
        except mysql.connector.Error as error:
            if error.sqlstate != "45000":
                raise
            return {"id": None, "errno": error.errno, "replayed": 0}

    def see_what_was_swept(self) -> None:
        """Whether somebody who was short of units has swept what is due is not for the model to say."""
        for row in self.session.batch("get_orders", self.model.overdue_orders()):
            assert row["status"] in ("pending", "cancelled")
            if row["status"] == "cancelled":
                self.model.cancel(row["order_id"], "timed_out")
        swept = {row["id"] for row in self.session.query("SELECT id FROM holds WHERE status = 'expired'")}
        for hold_id in swept.intersection(self.model.due_holds()):
            self.model.expire(hold_id)

    @rule(wanted=st.lists(st.tuples(positions, quantities, customers, keys), min_size=1, max_size=8))
    def create_holds(self, wanted: list[tuple[int, int, str | None, str | None]]) -> None:
        """A batch of holds."""
        requests = [
            {"product_id": self.product(position), "quantity": quantity, "customer_id": customer, **self.key(number)}
            for position, quantity, customer, number in wanted
        ]
        self.ask("create_holds", requests, self.model.create_hold, single=False)

    @rule(position=positions, quantity=quantities, number=keys)
    def create_hold(self, position: int, quantity: int, number: str | None) -> None:
        """A hold by a DBA, who names no customer."""
        key = self.key(number).get("idempotency_key")
        request = {"product_id": self.product(position), "quantity": quantity, "idempotency_key": key}
        self.ask("create_holds", [request], self.model.create_hold, single=True)

    @if_held
    @rule(
        wanted=st.lists(
            st.tuples(st.one_of(positions, st.lists(positions, min_size=1, max_size=4)), keys), min_size=1, max_size=6
        ),
        single=st.booleans(),
    )
    def create_orders(self, wanted: list[tuple[int | list[int], str | None]], single: bool) -> None:
        """Orders of one or several holds, whose ids are consecutive where they are made one at a time."""
        requests: list[Row] = []
        for position, number in wanted:
            if isinstance(position, int):
                holds: Row = {"hold_id": latest(self.model.holds, position)}
            else:
                holds = {"hold_ids": [latest(self.model.holds, each) for each in position]}
            requests.append({**holds, "idempotency_key": None, **self.key(number)})
        if single:
            requests = [request for request in requests if "hold_id" in request][:1]
        if not requests:
            return
        rows = self.ask("create_orders", requests, self.model.create_order, single=single)
        new = [row["order_id"] for row in rows if row["errno"] is None and not row["replayed"]]
        assert len(new) != 1 or new == [self.last_order_id + 1]
        self.last_order_id = self.session.next_id("orders") - 1

    @rule(wanted=st.lists(st.tuples(positions, payment_events), min_size=1, max_size=8), single=st.booleans())
    def apply_payments(self, wanted: list[tuple[int, PaymentEvent]], single: bool) -> None:
        """Payment events, of orders that exist or come next; each has its outcome when its batch is done."""
        self.wait(1)  # arrival order is by the clock
        self.see_what_was_swept()
        orders = and_next(self.model.orders, self.last_order_id)
        events = [self.event(latest(orders, position), *event) for position, event in wanted[: 1 if single else None]]
        if single:  # which takes no payment and no amount
            events = [dict(list(event.items())[:3]) for event in events]
        rows = self.ask("apply_payments", events, self.model.apply_payment, single=single)
        for event, row in zip(events, rows, strict=True):
            if row["errno"] is None:
                assert row["outcome"] == self.model.outcome(self.model.events[event["idempotency_key"]])

    def event(self, order_id: int, number: int, status: str, payment_id: str | None, amount: str | None) -> Row:
        """An element of apply_payments."""
        currency = "USD" if amount == "the order's USD" else None
        if amount in ("the order's", "the order's USD"):
            amount = str(self.model.orders[order_id].amount) if order_id in self.model.orders else "100.00"
        event = {"idempotency_key": f"{self.prefix}{number}", "order_id": order_id, "status": status}
        return {**event, "payment_id": self.payment(payment_id), "amount": amount, "currency": currency}

    def payment(self, payment_id: str | None) -> str | None:
        """The name of a payment of this example."""
        return payment_id and f"{self.prefix}{payment_id}"

    @if_paid
    @rule(number=st.integers(1, 20), status=statuses, payment_id=payments.filter(bool))
    def report_payment(self, number: int, status: str, payment_id: str) -> None:
        """An event that names its payment only."""
        self.wait(1)
        self.see_what_was_swept()
        event = self.event(0, number, status, payment_id, None)
        order_id = self.model.order_of_payment(event)
        del event["order_id"]
        (row,) = self.session.batch("apply_payments", [event])
        if order_id is None:
            assert (row["order_id"], row["outcome"]) == (None, None if row["errno"] else "ignored")
            assert row["errno"] == (30001 if status == "paid" else None)
        else:
            expected = {"errno": None, "replayed": 0, **self.model.apply_payment({**event, "order_id": order_id}, 0)}
            assert {name: row[name] for name in expected} == expected
            assert row["errno"] or row["order_id"] == order_id

    @rule(
        position=st.integers(0, 2),
        quantity=quantities,
        customer=customers,
        events=st.lists(payment_events, max_size=3),
        returned=st.lists(refunds, max_size=2),
    )
    def buy(
        self, position: int, quantity: int, customer: str | None, events: list[PaymentEvent], returned: list[Refund]
    ) -> None:
        """A buyer who goes all the way, whose payment may be reported more than once, and who may return units."""
        known = len(self.model.orders)
        self.create_holds([(position, quantity, customer, None)])
        self.create_orders([(0, None)], single=False)
        if len(self.model.orders) > known:
            if returned:
                events = [(100 + self.last_order_id, "success", None, None), *events]
            if events:
                self.apply_payments([(ORDERS_TO_COME, event) for event in events], single=False)
            if returned:
                self.refund_orders([(0, refund, None) for refund in returned], single=False)

    @if_held
    @rule(wanted=st.lists(positions, min_size=1, max_size=6), single=st.booleans())
    def release_holds(self, wanted: list[int], single: bool) -> None:
        """Holds are given back."""
        ids = [latest(self.model.holds, position) for position in wanted[: 1 if single else None]]
        self.ask("release_holds", ids, self.model.release_hold, single=single)

    @if_held
    @rule(wanted=st.lists(positions, min_size=1, max_size=6), single=st.booleans())
    def extend_holds(self, wanted: list[int], single: bool) -> None:
        """Holds get more time."""
        ids = [latest(self.model.holds, position) for position in wanted[: 1 if single else None]]
        self.ask("extend_holds", ids, self.model.extend_hold, single=single)

    @if_held
    @rule(wanted=st.lists(st.tuples(positions, quantities), min_size=1, max_size=6), single=st.booleans())
    def reduce_holds(self, wanted: list[tuple[int, int]], single: bool) -> None:
        """Holds of fewer units."""
        requests = [[latest(self.model.holds, position), "", quantity] for position, quantity in wanted]
        self.ask("reduce_holds", requests[: 1 if single else None], self.model.reduce_hold, single=single)

    @if_ordered
    @rule(wanted=st.lists(positions, min_size=1, max_size=6), single=st.booleans())
    def cancel_orders(self, wanted: list[int], single: bool) -> None:
        """Orders are cancelled."""
        self.see_what_was_swept()
        ids = [latest(self.model.orders, position) for position in wanted[: 1 if single else None]]
        self.ask("cancel_orders", ids, self.model.cancel_order, single=single)

    @if_ordered
    @rule(wanted=st.lists(st.tuples(positions, windows), min_size=1, max_size=6))
    def start_payments(self, wanted: list[tuple[int, int | None]]) -> None:
        """Orders get more time, each its own."""
        self.see_what_was_swept()
        requests = [[latest(self.model.orders, position), "", window_s] for position, window_s in wanted]
        self.ask("start_payments", requests, self.model.start_payment, single=False)

    @if_ordered
    @rule(position=positions)
    def start_payment(self, position: int) -> None:
        """An order gets more time."""
        self.see_what_was_swept()
        self.ask("start_payments", [latest(self.model.orders, position)], self.model.start_payment, single=True)

    @if_ordered
    @rule(wanted=st.lists(st.tuples(positions, refunds, keys), min_size=1, max_size=6), single=st.booleans())
    def refund_orders(self, wanted: list[tuple[int, Refund, str | None]], single: bool) -> None:
        """Refunds of whole orders, and of units of their lines."""
        requests = []
        for position, (restock, lines), number in wanted:
            order_id = latest(self.model.paid_last(), position)
            request: Row = {"order_id": order_id, "restock": restock, "idempotency_key": None, **self.key(number)}
            if lines is not None:
                request["lines"] = [
                    {"hold_id": self.model.hold_of(order_id, place), "quantity": quantity} for place, quantity in lines
                ]
            requests.append(request)
        if single:
            requests = [request for request in requests if "lines" not in request][:1]
        if requests:
            self.ask("refund_orders", requests, self.model.refund_order, single=single)

    @rule(position=positions, units=st.integers(-5, 5).filter(bool), number=keys)
    def adjust_stock(self, position: int, units: int, number: str | None) -> None:
        """A DBA adds units, or takes available ones away."""
        self.expire_due()
        key = self.key(number).get("idempotency_key")
        request = {"product_id": self.product(position), "quantity": units, "reason": "count", "idempotency_key": key}
        self.ask("adjust_stock", [request], self.model.adjust_stock, single=True)

    @rule(position=st.integers(0, 2), is_archived=st.sampled_from((True, False, False)))
    def archive_or_restore_product(self, position: int, is_archived: bool) -> None:
        """A product is archived, or sold again."""
        product_id = self.product(position)
        (self.model.archived.add if is_archived else self.model.archived.discard)(product_id)
        self.session.call("archive_product" if is_archived else "restore_product", product_id)

    @rule(
        position=st.integers(0, 2),
        price=st.sampled_from((0, 0, 1, 999, 10**6)),
        maximum=st.sampled_from((None, None, 1, 2, 5)),
    )
    def change_product(self, position: int, price: int, maximum: int | None) -> None:
        """Another price, and another maximum for one hold."""
        product_id = self.product(position)
        self.model.prices[product_id] = Decimal(price) / 100
        self.model.rules.setdefault(product_id, Rules()).maximum_per_hold = maximum
        row = self.session.call("change_product", product_id, "Limited", self.model.prices[product_id], maximum)[0]
        assert row["price"] == self.model.prices[product_id]

    @rule(
        position=st.integers(0, 2),
        window=st.sampled_from(((None, None), (None, 200), (-50, None), (50, 150), (-50, 0))),
        maximum=st.sampled_from((None, 1, 3, 5)),
    )
    def set_selling_rules(self, position: int, window: tuple[int | None, int | None], maximum: int | None) -> None:
        """A sale window, and a maximum for one customer."""
        rules = self.model.rules.setdefault(self.product(position), Rules())
        rules.starts_at, rules.ends_at = (None if offset is None else self.model.now + offset for offset in window)
        rules.maximum_per_customer = maximum
        moments = [None if moment is None else self.moment(moment) for moment in (rules.starts_at, rules.ends_at)]
        self.session.call("set_selling_rules", self.product(position), *moments, maximum)

    @rule(seconds=st.sampled_from((60, 120, 300)))
    def change_setting(self, seconds: int) -> None:
        """Holds to come live shorter or longer; those that exist keep their deadline."""
        self.session.call("change_setting", "hold_ttl_s", seconds)
        self.model.hold_ttl_s = seconds

    @if_paid
    @rule(position=positions)
    def settle_refund(self, position: int) -> None:
        """An operator settles a refund."""
        self.settle_event("settle_refund", position, self.model.settle_refund)

    @if_paid
    @rule(position=positions)
    def settle_review(self, position: int) -> None:
        """An operator settles a review."""
        self.settle_event("settle_review", position, self.model.settle_review)

    def settle_event(self, procedure: str, position: int, answer: Callable[[str], int | None]) -> None:
        """Settle one of the latest events."""
        key = str(latest(self.model.events, position))
        errno = answer(key)
        if errno is None:
            self.session.call(procedure, key)
        else:
            assert self.session.errno(procedure, key) == errno

    @rule()
    def expire_due(self) -> None:
        """A sweep."""
        self.session.call("expire_due", 100_000)
        self.model.sweep()

    @rule(seconds=days_s)
    def run_cron(self, seconds: int) -> None:
        """What cron does, at once, a day later, or when all but what was paid or is owed is history."""
        self.wait(seconds)
        self.expire_due()
        self.session.call("settle_waiting_payments", 1000)
        self.model.orphan_what_waited_too_long()
        self.session.call("report_sweeps", 1000)
        self.session.call("purge_history", 10_000)
        self.model.purge()

    @rule(seconds=jumps_s)
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.model.now += seconds
        self.session.stand_at(str(self.model.now))

    @rule(position=positions, early_s=st.sampled_from((0, 1)))
    def wait_for_a_deadline(self, position: int, early_s: int) -> None:
        """Time passes until a hold or an order is due, or is not quite."""
        deadlines = [hold.expires_at for hold in self.model.holds.values() if hold.status == "active"]
        deadlines += [order.due_at for order in self.model.orders.values() if order.status == "pending"]
        if ahead := [deadline for deadline in deadlines if deadline - early_s > self.model.now]:
            self.wait(ahead[position % len(ahead)] - early_s - self.model.now)

    @invariant()
    def stock_is_in_one_place(self) -> None:
        """Nothing is lost or sold twice, and what may be had is what the model says."""
        assert self.session.call("check_stock") == []
        for product_id, total in self.model.stock.items():
            (row,) = self.session.query(AVAILABLE, product_id)
            assert (row["units"], row["total"]) == (self.model.available(product_id), total)

    @invariant()
    def lists_have_what_is_not_archived(self) -> None:
        """Archived products are left out of lists."""
        rows = self.session.call("list_products", min(self.model.stock) - 1, 3)
        listed = {row["id"] for row in rows} & self.model.stock.keys()
        assert listed == self.model.stock.keys() - self.model.archived

    @invariant()
    def reads_say_what_happened(self) -> None:
        """Holds, orders and events read as the model has them."""
        self.compare_reads("get_holds", self.model.holds, self.hold_row)
        self.compare_reads("get_orders", self.model.orders, self.order_row)
        for key, event in self.model.events.items():
            row = self.session.call("get_payment", key)[0]
            assert (row["order_id"], row["status"]) == (event.order_id, event.status)
            assert row["outcome"] == self.model.outcome(event)
            assert row["refund_reason"] == event.refund_reason

    @invariant()
    def registers_list_what_is_due(self) -> None:
        """Refunds due and payments to review are those of the model."""
        events = self.model.events.items()
        refunds = {
            (key, "orphaned" if self.model.outcome(event) == "orphaned" else event.refund_reason)
            for key, event in events
            if self.model.is_refund_due(event)
        }
        reviews = {
            (key, "disputed" if event.status == "disputed" else "wrong_amount")
            for key, event in events
            if event.to_review
        }
        for view, expected in (("refunds_due", refunds), ("payments_to_review", reviews)):
            rows = self.session.query(
                f"SELECT idempotency_key, reason FROM {view} WHERE idempotency_key LIKE %s", self.prefix + "%"
            )
            assert {(row["idempotency_key"], row["reason"]) for row in rows} == expected, view
            assert len(rows) == len(expected)

    @invariant()
    def the_feed_tells_every_transition(self) -> None:
        """Every transition has its event, and every event its transition."""
        self.see_what_was_swept()
        rows = self.session.query(
            "SELECT type, order_id, hold_ids, occurred_at, reason, amount, refund_id, status,"
            " CONVERT(payment_id USING utf8mb4) AS payment_id FROM events"
            " WHERE order_id > %s OR (order_id IS NULL AND hold_ids ->> '$[0]' >= %s) ORDER BY id",
            self.first_order_id,
            self.first_hold_id,
        )
        found = [
            (
                *(row["type"], row["order_id"], tuple(json.loads(row["hold_ids"])), row["occurred_at"]),
                *(row[name] for name in ("reason", "amount", "payment_id", "refund_id", "status")),
            )
            for row in rows
        ]
        told = [
            (
                *(told.type, told.order_id, told.hold_ids, self.moment(told.occurred_at)),
                *(told.reason, told.amount, told.payment_id, told.refund_id, told.status),
            )
            for told in self.model.told
        ]
        assert sorted(found, key=self.by_order) == sorted(told, key=self.by_order)

    @staticmethod
    def by_order(event: tuple[Any, ...]) -> Any:
        """The key to sort events by: those of one order keep their sequence."""
        _, order_id, hold_ids, *_ = event
        return (order_id or 0, hold_ids if order_id is None else ())

    def compare_reads(self, procedure: str, things: dict[int, Any], expected: Callable[[Any], Row]) -> None:
        """Read things in one batch."""
        rows = self.session.batch(procedure, list(things))
        for thing, row in zip(things.values(), rows, strict=True):
            assert expected(thing).items() <= row.items()
            if isinstance(thing, Order):
                assert {line["hold_id"]: line["refunded_quantity"] for line in json.loads(row["lines"])} == {
                    hold_id: hold.refunded for hold_id, hold in thing.holds.items()
                }

    def hold_row(self, hold: Any) -> Row:
        """A row of get_holds: expired from the deadline on, swept or not."""
        is_due = hold.status == "active" and hold.expires_at <= self.model.now
        return {
            "quantity": hold.quantity,
            "unit_price": hold.unit_price,
            "status": "expired" if is_due else hold.status,
            "expires_at": self.moment(hold.expires_at),
        }

    def order_row(self, order: Order) -> Row:
        """A row of get_orders; the status of an overdue one depends on who swept."""
        row = {"amount": order.amount, "payment_due_at": self.moment(order.due_at)}
        if len(order.holds) == 1:
            row |= {"hold_id": next(iter(order.holds)), "quantity": next(iter(order.holds.values())).quantity}
        return row if self.is_overdue(order) else {**row, "status": order.status}

    def is_overdue(self, order: Order) -> bool:
        """Whether an order was pending when its time ended."""
        return order.status == "pending" and order.due_at <= self.model.now

    def teardown(self) -> None:
        """In the end all but what was paid or is owed is history."""
        self.run_cron(2_700_000)
        self.stock_is_in_one_place()
        self.reads_say_what_happened()

    @staticmethod
    def moment(seconds: int) -> datetime:
        """A Unix time as a DATETIME."""
        return EPOCH + timedelta(seconds=seconds)


@pytest.fixture
def machine(session: Session) -> Iterator[type[Checkout]]:
    """The machine on this file's database."""
    yield type("Machine", (Checkout,), {"session": session})
    session.travel(0)
    session.call("change_setting", "hold_ttl_s", 120)


@pytest.mark.timeout(3600)
def test_whatever_is_called_in_whatever_order_the_procedures_do_as_the_model_says(machine: type[Checkout]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=settings.default.max_examples // 2))
