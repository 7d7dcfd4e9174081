"""create_event_receiver: whose URLs and types are valid, and where its secret appears."""

import re

import pytest

from tests.deliveries import create_receiver, deliver, state_of
from tests.support import Session

LONGEST = f"https://shop.example/{'x' * 1003}"


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/events?source=checkout&token=a%20b",
        "https://10.0.0.7:8443/events",
        "https://[fd00::7]:8443/",
        "http://127.0.0.1:8001/events",
        "http://127.9.9.9/",
        "http://[::1]:8001/",
        LONGEST,
    ],
)
def test_https_and_loopback_addresses_are_accepted(session: Session, url: str) -> None:
    (receiver,) = session.call("create_event_receiver", url, None)
    assert state_of(session, receiver["receiver_id"])["url"] == url


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/events",
        "http://localhost/events",
        "http://10.0.0.7/",
        "http://127.0.0.1.shop.example/",
        "http://127.0.0.1@shop.example/",
        "http://127.1/",
        "http://[::1",
        "HTTPS://shop.example/",
        "https://user:password@shop.example/",
        "https://shop.example/#fragment",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://shöp.example/",
        "https://shop..example/",
        "https://shop.example:0/",
        "https://",
        "https:///events",
        "ftp://shop.example/",
        f"{LONGEST}x",
    ],
)
def test_another_url_is_refused(session: Session, url: str) -> None:
    assert session.errno("create_event_receiver", url, None) == 30001


@pytest.mark.parametrize("types", ["", "order.paid,", "paid", "order.paid, refund.due", "ORDER.PAID", "63", "1"])
def test_types_that_do_not_exist_are_refused(session: Session, types: str) -> None:
    assert session.errno("create_event_receiver", "https://shop.example/", types) == 30001


def test_a_receiver_gets_the_events_of_its_types_from_its_creation_on(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.create_paid_order(product_id)
    every, paid = create_receiver(session), create_receiver(session, "order.paid,refund.due")
    order_id = session.create_paid_order(product_id)
    assert deliver(session, every) == [order_id, order_id]
    assert deliver(session, paid) == [order_id]
    assert [state_of(session, receiver)["events_behind"] for receiver in (every, paid)] == [0, 0]


def test_the_secret_is_in_the_answer_and_in_no_statement_and_no_view(session: Session) -> None:
    (receiver,) = session.call("create_event_receiver", "https://shop.example/", None)
    secret = receiver["secret"]
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    (rotated,) = session.call("rotate_event_secret", receiver["receiver_id"])
    session.call("list_event_receivers")
    assert "whsec_" not in str(session.query("SELECT * FROM event_deliveries"))
    for table in ("events_statements_history", "events_statements_current", "events_statements_summary_by_digest"):
        shown = str(session.query(f"SELECT * FROM performance_schema.{table}"))
        assert "create_event_receiver" in shown, table
        assert not {word for word in (secret, rotated["secret"]) if word in shown}, table
