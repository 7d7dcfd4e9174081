"""apply_payments: record a batch of payment events and settle their orders."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.support import Row, Session


def event(key: Any, order_id: Any, status: Any = "success", **members: Any) -> Row:
    """One event."""
    return {"idempotency_key": key, "order_id": order_id, "status": status, **members}


def test_rows_come_in_the_order_of_the_events(session: Session) -> None:
    product_id = session.create_product(stock=5)
    paid, failed = session.create_order(product_id), session.create_order(product_id, 2)
    events = [event("in order b", failed, "failure"), event("in order a", paid), event("in order c", 10**8)]
    rows, touched = session.call_all("apply_payments", json.dumps(events))
    assert list(rows[0]) == ["order_id", "status", "outcome", "replayed", "errno"]
    assert [tuple(row.values()) for row in rows] == [
        (failed, "cancelled", "applied", 0, None),
        (paid, "paid", "applied", 0, None),
        (10**8, None, "waiting", 0, None),
    ]
    assert [(row["id"], row["available_stock"]) for row in touched] == [(product_id, 4)]


def test_a_batch_without_a_failure_touches_no_product(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=5))
    assert len(session.call_all("apply_payments", json.dumps([event("untouched", order_id)]))) == 1


@pytest.mark.parametrize(
    ("statuses", "outcomes", "order_status"),
    [
        (["success", "success"], ["applied", "refund_due"], "paid"),
        (["success", "failure"], ["applied", "ignored"], "paid"),
        (["failure", "success"], ["applied", "refund_due"], "cancelled"),
        (["failure", "failed", "success"], ["applied", "ignored", "refund_due"], "cancelled"),
    ],
)
@pytest.mark.parametrize("is_early", [False, True])
def test_events_of_one_order_are_settled_in_array_order_whatever_their_keys(
    session: Session, is_early: bool, statuses: list[str], outcomes: list[str], order_status: str
) -> None:
    product_id = session.create_product(stock=5)
    order_id = session.create_order(product_id) + is_early
    # Keys descend, while arrival goes on.
    events = [event(f"{9 - number} of {order_id}", order_id, status) for number, status in enumerate(statuses)]
    rows = session.batch("apply_payments", events)
    if is_early:
        assert {row["outcome"] for row in rows} == {"waiting"}
        session.create_order(product_id)
        rows = session.batch("apply_payments", events)
    assert [row["outcome"] for row in rows] == outcomes
    assert session.status_of("order", order_id) == order_status


NEWS = ("pending", "processing", "authorized", "declined", "disputed", "refunded")
# What happens to one order of amount 200.00: events as (status, payment_id, amount and currency), then per event its
# outcome and the reason of a refund due, then the order's status.
STORIES: dict[str, tuple[list[tuple[str, str | None, str | None]], list[tuple[str, str | None]], str]] = {
    "the second card works": (
        [("processing", "a", None), ("declined", "a", None), ("success", "b", "200.00")],
        [("ignored", None), ("ignored", None), ("applied", None)],
        "paid",
    ),
    "nothing but news": (
        [(status, None, None) for status in NEWS],
        [("ignored", None)] * len(NEWS),
        "pending",
    ),
    "one payment told under two keys": (
        [("success", "a", "200.00"), ("success", "a", "200.00"), ("success", "b", "200.00")],
        [("applied", None), ("ignored", None), ("refund_due", "paid_twice")],
        "paid",
    ),
    "a late payment reported twice": (
        [("expired", "a", None), ("success", "b", None), ("success", "b", None)],
        [("applied", None), ("refund_due", "too_late"), ("ignored", None)],
        "cancelled",
    ),
    "payments without names are payments of their own": (
        [("success", None, None), ("success", None, None)],
        [("applied", None), ("refund_due", "paid_twice")],
        "paid",
    ),
    "wrong amounts, then the right one": (
        [("success", "a", "199.99"), ("success", "b", "0"), ("success", "a", "200"), ("success", "c", "200.0")],
        [("refund_due", "wrong_amount")] * 2 + [("ignored", None), ("applied", None)],
        "paid",
    ),
    "another currency, then the shop's": (
        [("success", "a", "200.00 USD"), ("success", "b", "200.00"), ("success", "c", "200.00 USD")],
        [("refund_due", "wrong_amount"), ("applied", None), ("refund_due", "paid_twice")],
        "paid",
    ),
    "a wrong amount, then a failure": (
        [("success", "a", "200.01"), ("failed", "b", None), ("success", "c", "1.00")],
        [("refund_due", "wrong_amount"), ("applied", None), ("refund_due", "too_late")],
        "cancelled",
    ),
    "refunds that are due": (
        [("canceled", None, None), ("success", "a", None), ("refunded", "a", None), ("refunded", "a", None)],
        [("applied", None), ("refund_due", "too_late"), ("applied", None), ("ignored", None)],
        "cancelled",
    ),
    "refunds of other payments": (
        [("success", "a", None), ("refunded", "a", None), ("success", "b", None), ("refunded", None, None)],
        [("applied", None), ("ignored", None), ("refund_due", "paid_twice"), ("ignored", None)],
        "paid",
    ),
    "a refund reported before its payment": (
        [("cancelled", None, None), ("refunded", "a", None), ("success", "a", None)],
        [("applied", None), ("ignored", None), ("refund_due", "too_late")],
        "cancelled",
    ),
}


def money(text: str | None) -> Row:
    """The members of an amount with or without a currency."""
    amount, _, currency = (text or "").partition(" ")
    return {"amount": amount or None, "currency": currency or None}


@pytest.mark.parametrize("is_early", [False, True], ids=["after the order", "before the order"])
@pytest.mark.parametrize("in_one_batch", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("name", STORIES)
def test_events_are_settled_by_status_payment_and_amount(
    session: Session, name: str, in_one_batch: bool, is_early: bool
) -> None:
    told, expected, order_status = STORIES[name]
    product_id = session.create_product(stock=5)
    order_id = session.create_order(product_id, 2) + is_early
    events = [
        event(f"{9 - number} of {order_id}", order_id, status, payment_id=payment_id, **money(amount))
        for number, (status, payment_id, amount) in enumerate(told)
    ]
    for batch in [events] if in_one_batch else [[one] for one in events]:
        rows = session.batch("apply_payments", batch)
        assert is_early == ({row["outcome"] for row in rows} == {"waiting"})
    if is_early:
        assert session.create_order(product_id, 2) == order_id
    rows = [session.call("get_payment", one["idempotency_key"])[0] for one in events]
    assert [(row["outcome"], row["refund_reason"]) for row in rows] == expected
    assert session.status_of("order", order_id) == order_status
    redelivered = session.batch("apply_payments", events)
    assert [(row["outcome"], row["replayed"]) for row in redelivered] == [(outcome, 1) for outcome, _ in expected]


def unnamed(key: str, status: str, payment_id: str) -> Row:
    """An event that names its payment, but not its order."""
    return {"idempotency_key": key, "status": status, "payment_id": payment_id}


@pytest.mark.parametrize("in_one_batch", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("is_early", [False, True], ids=["after the order", "before the order"])
def test_an_event_that_names_no_order_is_that_of_an_earlier_event_of_its_payment(
    session: Session, is_early: bool, in_one_batch: bool
) -> None:
    product_id = session.create_product(stock=5)
    order_id = session.create_order(product_id) + is_early
    if not is_early:
        session.call("cancel_order", order_id)
    name = f"{order_id} {in_one_batch}"
    events = [
        event(f"paid {name}", order_id, payment_id=f"payment {name}"),
        unnamed(f"disputed {name}", "disputed", f"payment {name}"),
        unnamed(f"refunded {name}", "refunded", f"payment {name}"),
        unnamed(f"strange {name}", "refunded", f"another {name}"),
    ]
    batches = [events] if in_one_batch else [[one] for one in events]
    rows = [row for batch in batches for row in session.batch("apply_payments", batch)]
    outcomes = ["waiting"] * 3 if is_early else ["refund_due", "ignored", "applied"]
    assert [row["order_id"] for row in rows] == [order_id, order_id, order_id, None]
    assert [(row["outcome"], row["errno"]) for row in rows] == [(outcome, None) for outcome in (*outcomes, "ignored")]
    assert session.errno("get_payment", f"strange {name}") == 30401
    assert len(session.query("SELECT 1 FROM payments_to_review WHERE order_id = %s", order_id)) == 1

    again = session.batch("apply_payments", events * 2)
    assert [(row["order_id"], row["outcome"], row["replayed"]) for row in again] == [
        (row["order_id"], row["outcome"], int(row["order_id"] is not None)) for row in rows * 2
    ]
    other = {**events[1], "status": "declined"}
    assert session.errnos("apply_payments", [other, {**events[1], "payment_id": "any"}]) == [30002, None]


def test_a_payment_of_two_orders_belongs_to_the_one_that_was_named_last(session: Session) -> None:
    product_id = session.create_product(stock=5)
    first, second = session.create_order(product_id), session.create_order(product_id)
    for order_id in (second, first):
        session.batch("apply_payments", [event(f"moved to {order_id}", order_id, "declined", payment_id="moved")])
    (row,) = session.batch("apply_payments", [unnamed("moved report", "disputed", "moved")])
    assert row["order_id"] == first


def test_a_repeated_payment_is_refunded_once_though_no_order_ever_came(session: Session) -> None:
    order_id = 10**8 + 1
    session.travel(-90_000)
    for key in ("orphan told", "orphan told again"):
        session.batch("apply_payments", [event(key, order_id, payment_id="orphan", amount="5.00")])
    session.travel(0)
    for is_written in (False, True):
        if is_written:
            session.call("settle_waiting_payments", 1000)
        refunds = session.query("SELECT * FROM refunds_due WHERE order_id = %s", order_id)
        assert [(row["idempotency_key"], row["reason"], row["amount"]) for row in refunds] == [
            ("orphan told", "orphaned", Decimal("5.00"))
        ]
    assert session.errno("settle_refund", "orphan told again") == 30402


@pytest.mark.parametrize("is_written", [False, True])
def test_a_reported_refund_of_an_order_that_never_came_settles_it(session: Session, is_written: bool) -> None:
    order_id = 10**8 + 2 + is_written
    session.travel(-90_000)
    session.batch("apply_payments", [event(f"orphan {order_id}", order_id, payment_id="orphan")])
    session.travel(0)
    if is_written:
        session.call("settle_waiting_payments", 1000)
    other, report = event(f"other {order_id}", order_id, "refunded"), event(f"report {order_id}", order_id, "refunded")
    assert session.batch("apply_payments", [other])[0]["outcome"] == "waiting"
    (row,) = session.batch("apply_payments", [{**report, "payment_id": "orphan"}])
    assert (row["status"], row["outcome"]) == (None, "applied")
    assert session.query("SELECT * FROM refunds_due WHERE order_id = %s", order_id) == []


def test_a_free_order_gives_back_only_money_that_an_event_names(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1, price="0.00"))
    session.call("apply_payment", f"free {order_id}", order_id, "success")
    events = [event(f"{amount} for {order_id}", order_id, amount=amount) for amount in (None, "0.00", "0.01")]
    rows = session.batch("apply_payments", events)
    assert [row["outcome"] for row in rows] == ["ignored", "ignored", "refund_due"]
    (refund,) = session.query("SELECT * FROM refunds_due WHERE order_id = %s", order_id)
    assert (refund["amount"], refund["reason"]) == (Decimal("0.01"), "paid_twice")


def test_a_redelivery_is_compared_by_order_and_status_only(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    first = event("redelivered", order_id, "canceled", payment_id="a", amount="1.00")
    assert session.errnos("apply_payments", [first]) == [None]
    for again in ({"status": "failed"}, {"payment_id": "b"}, {"amount": "2"}, {"payment_id": None, "amount": None}):
        (row,) = session.batch("apply_payments", [{**first, **again}])
        assert (row["outcome"], row["replayed"]) == ("applied", 1)
    assert session.errnos("apply_payments", [{**first, "status": "declined"}]) == [30002]


def test_amounts_are_exact(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=7501, price="9999999999.99"), 7501)
    largest = "9" * 18 + ".99"
    assert session.errnos("apply_payments", [event(f"largest {order_id}", order_id, amount=largest)]) == [None]
    assert session.call("get_payment", f"largest {order_id}")[0]["amount"] == Decimal(largest)
    events = [event(f"{digits} {order_id}", order_id, amount=f"75009999999924.{digits}") for digits in ("98", "990")]
    assert [row["outcome"] for row in session.batch("apply_payments", events)] == ["refund_due", "applied"]


def test_errors_hit_only_their_own_event(session: Session) -> None:
    product_id = session.create_product(stock=5)
    order_id, other_id = session.create_order(product_id), session.create_order(product_id)
    session.call("apply_payment", "mixed event", order_id, "success")
    rows = session.batch(
        "apply_payments",
        [
            event("mixed event", other_id),
            event("mixed event", order_id, "failure"),
            event("mixed event", order_id),
            event("", other_id),
            event("mixed new", other_id, "paid"),
            event("mixed new", other_id),
        ],
    )
    assert [row["errno"] for row in rows] == [30002, 30002, None, 30001, 30001, None]
    assert [row["replayed"] for row in rows] == [0, 0, 1, 0, 0, 0]
    assert session.status_of("order", other_id) == "paid"


def test_a_key_twice_in_a_batch_is_one_event(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=5))
    rows = session.batch(
        "apply_payments",
        [event("twice", order_id), event("twice", order_id), event("twice", order_id, "failure")],
    )
    assert [(row["replayed"], row["errno"]) for row in rows] == [(0, None), (1, None), (0, 30002)]
    assert len(session.query("SELECT 1 FROM payment_events WHERE order_id = %s", order_id)) == 1


def test_an_event_that_an_equal_connection_id_recorded_on_another_server_is_a_redelivery(session: Session) -> None:
    """Only what was recorded during this call is new, and an earlier primary recorded its events before."""
    order_id = session.create_order(session.create_product(stock=5))
    session.batch("apply_payments", [event("equal id", order_id)])
    session.execute("UPDATE payment_events SET recorded_by = CONNECTION_ID() WHERE order_id = %s", order_id)
    rows = session.batch("apply_payments", [event("equal id", order_id), event("equal id, other key", order_id)])
    assert [(row["replayed"], row["outcome"]) for row in rows] == [(1, "applied"), (0, "refund_due")]


def test_a_thousand_events_fit_a_batch(session: Session) -> None:
    product_id = session.create_product(stock=1000)
    holds = session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * 1000)
    orders = session.batch("create_orders", [{"hold_id": row["hold_id"]} for row in holds])
    events = [
        event(f"thousand {row['order_id']}", row["order_id"], ("success", "failure")[number % 2])
        for number, row in enumerate(orders)
    ]
    rows = session.batch("apply_payments", events[::-1])[::-1]
    assert [row["status"] for row in rows] == ["paid", "cancelled"] * 500
    assert session.available(product_id) == 500
