"""settle_review and the register payments_to_review: disputes and wrong amounts."""

from decimal import Decimal
from typing import Any

import pytest

from tests.support import Row, Session


def tell(session: Session, key: str, order_id: int, status: str, **members: Any) -> Row:
    """Deliver an event; returns its row."""
    (row,) = session.batch(
        "apply_payments", [{"idempotency_key": key, "order_id": order_id, "status": status, **members}]
    )
    return row


def reviews(session: Session, order_id: int) -> list[Row]:
    """The register of one order."""
    return session.query("SELECT * FROM payments_to_review WHERE order_id = %s", order_id)


@pytest.mark.parametrize("order", ["exists", "does not exist yet", "never comes"])
def test_a_dispute_is_listed_until_it_is_settled(session: Session, order: str) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_order(product_id) + {"exists": 0, "does not exist yet": 1, "never comes": 10**8}[order]
    key = f"dispute: order {order}"
    for replayed in (0, 1):
        assert tell(session, key, order_id, "disputed", payment_id="pi_1", amount="7.5")["replayed"] == replayed
    if order == "does not exist yet":
        session.create_order(product_id)
        assert session.call("get_payment", key)[0]["outcome"] == "ignored"
    (review,) = reviews(session, order_id)
    assert list(review) == [
        *("event_id", "idempotency_key", "order_id", "reason", "payment_id", "amount", "order_amount", "received_at"),
        "currency",
    ]
    assert (review["idempotency_key"], review["reason"], review["payment_id"]) == (key, "disputed", "pi_1")
    assert review["amount"] == Decimal("7.50")
    assert review["order_amount"] == (None if order == "never comes" else Decimal(100))
    (row,) = session.call("settle_review", key)
    assert list(row) == ["event_id", "order_id", "review_settled_at", "replayed"]
    assert (row["event_id"], row["order_id"], row["replayed"]) == (review["event_id"], order_id, 0)
    tell(session, key, order_id, "disputed")
    assert reviews(session, order_id) == []


def test_a_wrong_amount_is_listed_beside_its_refund(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    assert tell(session, "99 for 100", order_id, "success", amount="99.00")["outcome"] == "refund_due"
    assert tell(session, "99 too late", order_id, "failure")["outcome"] == "applied"
    assert tell(session, "98 too late", order_id, "success", amount="98.00")["outcome"] == "refund_due"
    (review,) = reviews(session, order_id)
    assert (review["idempotency_key"], review["reason"]) == ("99 for 100", "wrong_amount")
    assert (review["amount"], review["order_amount"]) == (Decimal(99), Decimal(100))
    session.call("settle_review", "99 for 100")
    assert reviews(session, order_id) == []
    assert len(session.query("SELECT 1 FROM refunds_due WHERE order_id = %s", order_id)) == 2


def test_settling_twice_keeps_the_first_time(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    tell(session, "twice", order_id, "disputed")
    (first,) = session.call("settle_review", "twice")
    session.travel(3600)
    assert session.call("settle_review", "twice") == [{**first, "replayed": 1}]
    assert session.call("get_payment", "twice")[0]["review_settled_at"] == first["review_settled_at"]
    (review,) = session.query("SELECT settled_by FROM payment_reviews WHERE event_id = %s", first["event_id"])
    assert review["settled_by"].startswith("root@")


@pytest.mark.parametrize("status", ["success", "failure", "refunded", "declined"])
def test_an_event_that_needs_no_review_is_refused(session: Session, status: str) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    tell(session, f"no review: {status}", order_id, status)
    assert session.errno("settle_review", f"no review: {status}") == 30403


@pytest.mark.parametrize("key", [None, "", "nobody's", "k" * 300])
def test_an_unknown_key_is_not_found(session: Session, key: str | None) -> None:
    assert session.errno("settle_review", key) == 30401


def test_a_refused_redelivery_lists_nothing(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    tell(session, "reused", order_id, "declined")
    assert tell(session, "reused", order_id, "disputed")["errno"] == 30002
    assert reviews(session, order_id) == []
