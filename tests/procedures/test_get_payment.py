"""get_payment: read one payment event."""

import pytest

from tests.support import Session


def test_an_event_is_read_by_its_key(session: Session) -> None:
    session.call("apply_payment", "read me", 10**8, "failed")
    (event,) = session.call("get_payment", "read me")
    assert list(event) == [
        *("event_id", "order_id", "status", "outcome", "received_at", "refund_settled_at"),
        *("payment_id", "amount", "refund_reason", "review_settled_at"),
        "currency",
    ]
    assert (event["order_id"], event["status"], event["outcome"]) == (10**8, "failure", "waiting")
    assert event["refund_settled_at"] is None


@pytest.mark.parametrize("key", [None, "", "READ ME", "read me ", "k" * 300])
def test_an_unknown_key_is_not_found(session: Session, key: str | None) -> None:
    assert session.errno("get_payment", key) == 30401
