"""Stripe's own webhook over HTTP: signatures, bodies, and events in any order and any number of times."""

import itertools
import time
from collections.abc import Callable

import httpx
import pytest

from service.requests import BODY_LIMIT_BYTES, STRIPE_BODY_LIMIT_BYTES
from tests.http.support import Service, Shop, assert_common_headers, assert_problem
from tests.stripe_events import (
    SECRET,
    SETTINGS,
    SIGNATURE_HEADER,
    charge,
    checkout_session,
    delivery,
    dispute,
    event,
    payment_intent,
    succeeded,
)
from tests.support import Session

OLD_SECRET = "whsec_old"
TOLERANCE_S = 300
MOMENT_S = 30


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with Stripe's webhook and two secrets, as during a rotation."""
    return start_service(**{**SETTINGS, "STRIPE_WEBHOOK_SECRETS": f"{OLD_SECRET}, {SECRET}"})


def test_the_events_of_a_payment_pay_its_order_once_in_any_order_however_often_they_are_delivered(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=100)
    for number, order in enumerate(itertools.permutations(range(4))):
        order_id, payment_id = shop.ordered(product_id), f"pi_order_{number}"
        metadata = {"order_id": str(order_id)}
        events = [
            succeeded(payment_id, metadata),
            event("checkout.session.completed", checkout_session(payment_id, metadata)),
            event("payment_intent.payment_failed", payment_intent(f"pi_declined_{number}", metadata)),
            event("charge.dispute.created", dispute(payment_id)),
        ]
        for position in order:
            first, again = (client.request(**delivery(events[position])) for _ in range(2))
            assert (first.status_code, again.json()) == (200, first.json())
        outcomes = {}
        for sent in events:
            answer = client.request(**delivery(sent)).json()
            outcomes[sent["type"]] = answer["outcome"]
            assert answer == {"order_id": order_id, "status": "paid", "outcome": answer["outcome"]}
        applied = "payment_intent.succeeded" if order.index(0) < order.index(1) else "checkout.session.completed"
        assert outcomes == {sent["type"]: "applied" if sent["type"] == applied else "ignored" for sent in events}
    assert session.available(product_id) == 100 - 24
    assert session.query("SELECT * FROM refunds_due") == []
    disputes = session.query("SELECT reason, payment_id FROM payments_to_review")
    assert len(disputes) == 24
    assert {row["reason"] for row in disputes} == {"disputed"}


def test_events_that_come_before_their_order_wait_for_it(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id) + 1
    paid, refunded = (
        succeeded("pi_early", {"order_id": str(order_id)}),
        event("charge.refunded", charge("pi_early", {})),
    )
    for sent in (paid, refunded):
        for _ in range(2):
            waiting = client.request(**delivery(sent))
            assert waiting.status_code == 202
            assert waiting.json() == {"order_id": order_id, "status": None, "outcome": "waiting"}
    assert shop.ordered(product_id) == order_id
    assert client.request(**delivery(paid)).json() == {"order_id": order_id, "status": "paid", "outcome": "applied"}
    assert client.request(**delivery(refunded)).json()["outcome"] == "ignored"


def test_a_payment_in_another_currency_does_not_pay(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    sent = succeeded("pi_dollars", {"order_id": str(order_id)}, currency="usd")
    for _ in range(2):
        answer = client.request(**delivery(sent)).json()
        assert answer == {"order_id": order_id, "status": "pending", "outcome": "refund_due"}
    (refund,) = session.query("SELECT reason, currency, payment_id FROM refunds_due WHERE order_id = %s", order_id)
    assert tuple(refund.values()) == ("wrong_amount", "USD", "pi_dollars")
    client.request(**delivery(event("charge.refunded", charge("pi_dollars", {}, currency="usd"))))
    assert session.query("SELECT 1 FROM refunds_due WHERE order_id = %s", order_id) == []
    right = succeeded("pi_euros", {"order_id": str(order_id)})
    assert client.request(**delivery(right)).json()["status"] == "paid"


def test_an_event_that_concerns_no_order_is_ignored_and_logged(
    service: Service, client: httpx.Client, session: Session
) -> None:
    before = session.query("SELECT COUNT(*) AS number FROM payment_events")
    for sent in (
        succeeded("pi_of_another_shop", {"order_id": "order 7"}),
        event("charge.dispute.created", dispute(None)),
        event("customer.created", {"id": "cus_1", "object": "customer"}),
    ):
        for _ in range(2):
            answer = client.request(**delivery(sent))
            assert answer.status_code == 200
            assert answer.json() == {"order_id": None, "status": None, "outcome": "ignored"}
            assert_common_headers(answer)
        assert len(service.events("payment_ignored", event_id=sent["id"], event_type=sent["type"])) == 2
    assert session.query("SELECT COUNT(*) AS number FROM payment_events") == before


def test_an_event_with_another_content_under_its_id_is_refused(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    metadata = {"order_id": str(shop.ordered(session.create_product(stock=5)))}
    sent = succeeded("pi_reused", metadata)
    client.request(**delivery(sent))
    other = {**event("payment_intent.canceled", payment_intent("pi_reused", metadata)), "id": sent["id"]}
    assert_problem(client.request(**delivery(other)), 409, "idempotency_key_reused", 30002)


@pytest.mark.parametrize("secret", [OLD_SECRET, SECRET])
@pytest.mark.parametrize("age_s", [0, TOLERANCE_S - MOMENT_S])
def test_each_of_two_secrets_is_accepted_for_five_minutes(client: httpx.Client, secret: str, age_s: int) -> None:
    sent = event("customer.created", {"id": "cus_1"})
    assert client.request(**delivery(sent, secret, int(time.time()) - age_s)).status_code == 200


def test_one_valid_signature_of_several_is_enough(client: httpx.Client) -> None:
    request = delivery(event("customer.created", {"id": "cus_1"}))
    request["headers"][SIGNATURE_HEADER] += f",v1={'0' * 64},v0={'0' * 64}"
    assert client.request(**request).status_code == 200


def test_a_forged_or_old_event_is_401_and_changes_nothing(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    sent = succeeded("pi_forged", {"order_id": str(order_id)})
    now = int(time.time())
    good = delivery(sent)
    header = good["headers"][SIGNATURE_HEADER]
    digest = header.partition("v1=")[2]
    forged = [
        delivery(sent, "whsec_strange"),
        delivery(sent, timestamp=now - TOLERANCE_S - MOMENT_S),
        {**good, "content": good["content"] + " "},
        {**good, "content": b"\xff"},
    ]
    headers = ["", "t", "t=", "v1", "t=now", f"t={now}", f"v1={digest}", f"t={now},v1=", f"t={now},v1=é"]
    headers += [
        f"t={now + 1},v1={digest}",
        f"t={now},v0={digest}",
        f"t={'9' * 5000},v1={digest}",
        header.replace("=", ":"),
    ]
    forged += [{**good, "headers": {**good["headers"], SIGNATURE_HEADER: text.encode("latin-1")}} for text in headers]
    forged += [{**good, "headers": {"Content-Type": "application/json"}}]
    for request in forged:
        assert_problem(client.request(**request), 401, "invalid_signature", None)
    assert session.status_of("order", order_id) == "pending"
    assert session.query("SELECT 1 FROM payment_events WHERE order_id = %s", order_id) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [("", 400), ("{", 400), ("[" * 5000, 400), ("null", 422), ("{}", 422), ('{"id":1,"type":"x"}', 422)],
)
def test_a_signed_body_that_is_no_event_is_refused(client: httpx.Client, body: str, status: int) -> None:
    assert_problem(client.request(**delivery(body)), status, "invalid_request", 30001)


def test_bodies_of_this_path_may_have_256_kib(client: httpx.Client) -> None:
    body = '{"id":"evt_long","type":"customer.created","data":{"object":{"padding":"%s"}}}'
    longest = body % ("x" * (STRIPE_BODY_LIMIT_BYTES - len(body) + 2))
    assert len(longest) == STRIPE_BODY_LIMIT_BYTES == 16 * BODY_LIMIT_BYTES
    assert client.request(**delivery(longest)).status_code == 200
    refused = client.request(**delivery(longest + " "))
    assert_problem(refused, 413, "invalid_request", 30001)
    assert str(STRIPE_BODY_LIMIT_BYTES) in refused.json()["detail"]


def test_secrets_are_not_logged(service: Service) -> None:
    assert SECRET not in service.text()
    assert OLD_SECRET not in service.text()
