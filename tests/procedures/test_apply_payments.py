"""apply_payments: record a batch of payment events and settle their orders."""

import json
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
