"""settle_refund and the view refunds_due: payments that must be refunded."""

from decimal import Decimal

import pytest

from tests.support import Session


@pytest.fixture
def late_key(session: Session, request: pytest.FixtureRequest) -> str:
    """The key of a success that came after its order was cancelled."""
    order_id = session.create_order(session.create_product(stock=2, price="7.50"), 2)
    session.call("cancel_order", order_id)
    key = f"late {request.node.name}"
    session.call("apply_payment", key, order_id, "success")
    return key


def test_a_refund_stands_in_the_register_until_it_is_ticked_off(session: Session, late_key: str) -> None:
    (refund,) = session.query("SELECT * FROM refunds_due WHERE idempotency_key = %s", late_key)
    assert list(refund) == [
        *("event_id", "idempotency_key", "order_id", "amount", "outcome", "received_at"),
        *("reason", "payment_id", "currency"),
    ]
    assert (refund["amount"], refund["outcome"]) == (Decimal("15.00"), "refund_due")
    assert (refund["reason"], refund["payment_id"]) == ("too_late", None)
    (row,) = session.call("settle_refund", refund["idempotency_key"])
    assert list(row) == ["event_id", "order_id", "refund_settled_at", "replayed"]
    assert (row["event_id"], row["order_id"], row["replayed"]) == (refund["event_id"], refund["order_id"], 0)
    assert session.query("SELECT * FROM refunds_due WHERE idempotency_key = %s", late_key) == []
    (event,) = session.query("SELECT * FROM payment_events WHERE id = %s", refund["event_id"])
    assert event["refund_settled_by"].startswith("root@")


def test_ticking_off_twice_keeps_the_first_time(session: Session, late_key: str) -> None:
    (first,) = session.call("settle_refund", late_key)
    session.travel(3600)
    assert session.call("settle_refund", late_key) == [{**first, "replayed": 1}]


def test_both_payments_for_one_order_are_told_apart(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    for key in ("first of two", "second of two"):
        session.call("apply_payment", key, order_id, "success")
    refunds = session.query("SELECT idempotency_key FROM refunds_due WHERE order_id = %s", order_id)
    assert refunds == [{"idempotency_key": "second of two"}]


@pytest.mark.parametrize(("order_status", "reason"), [("cancelled", "too_late"), ("paid", "paid_twice")])
def test_a_refund_that_an_earlier_release_decided_gets_its_reason_from_the_order(
    session: Session, order_status: str, reason: str
) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    for status in ("success" if order_status == "paid" else "failure", "success"):
        session.call("apply_payment", f"{status} of earlier {order_status}", order_id, status)
    session.call("apply_payment", f"earlier {order_status}", order_id, "success")
    session.execute("UPDATE payment_events SET refund_reason = NULL WHERE order_id = %s", order_id)
    refunds = session.query("SELECT reason FROM refunds_due WHERE order_id = %s", order_id)
    assert {row["reason"] for row in refunds} == {reason}


@pytest.mark.parametrize("status", ["success", "failure"])
@pytest.mark.parametrize("order", ["pending", "unknown", "cancelled"])
def test_only_a_refund_that_is_due_is_ticked_off(session: Session, status: str, order: str) -> None:
    key = f"{status} of {order}"
    order_id = 10**8 if order == "unknown" else session.create_order(session.create_product(stock=1))
    if order == "cancelled":
        session.call("cancel_order", order_id)
    session.call("apply_payment", key, order_id, status)
    if (order, status) == ("cancelled", "success"):
        assert session.call("settle_refund", key)[0]["replayed"] == 0
    else:
        assert session.errno("settle_refund", key) == 30402


def test_keys_that_differ_in_case_are_refunds_of_their_own(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    session.call("cancel_order", order_id)
    for key in ("capitals", "CAPITALS"):
        session.call("apply_payment", key, order_id, "success")
    assert session.call("settle_refund", "CAPITALS")[0]["replayed"] == 0
    refunds = session.query("SELECT idempotency_key FROM refunds_due WHERE order_id = %s", order_id)
    assert refunds == [{"idempotency_key": "capitals"}]


@pytest.mark.parametrize("key", [None, "", "nobody's", "k" * 300])
def test_an_unknown_key_is_not_found(session: Session, key: str | None) -> None:
    assert session.errno("settle_refund", key) == 30401


def test_an_orphaned_success_can_be_ticked_off(session: Session) -> None:
    session.call("apply_payment", "orphaned refund", 10**8, "success")
    session.travel(86_401)
    session.call("settle_waiting_payments", 1000)
    assert session.call("settle_refund", "orphaned refund")[0]["order_id"] == 10**8
