"""The service's log: one JSON line per event, with the request's id and without secrets."""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.http.support import Service, hold_request, order_request, payment_request, refund_request
from tests.support import PASSWORDS, Session, eventually


class Witness:
    """A client that sends each request under its own X-Request-Id and finds its line in the log."""

    def __init__(self, service: Service, client: httpx.Client) -> None:
        self._service = service
        self._client = client

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Send a request; returns the response's document and the one line with its id."""
        request_id = str(uuid.uuid4())
        headers = {**request.get("headers", {}), "X-Request-Id": request_id}
        response = self._client.request(**{**request, "headers": headers})
        (line,) = eventually(lambda: self._lines(request_id))
        return (response.json() if response.content else {}), line

    def _lines(self, request_id: str) -> list[dict[str, Any]]:
        lines = [line for line in self._service.text().splitlines() if request_id in line]
        return [json.loads(line) for line in lines]


@pytest.fixture
def witness(service: Service) -> Iterator[Witness]:
    """A client that reads the log."""
    with service.client() as client:
        yield Witness(service, client)


def assert_line(line: dict[str, Any], event: str, **members: Any) -> None:
    """Check a line: event, level, timestamp, one attempt, a plausible duration, and exactly these further members."""
    assert {"event": event, "level": "info", **members}.items() <= line.items()
    assert datetime.fromisoformat(line["timestamp"])
    assert 0 <= line["duration_ms"] < 10_000
    assert line["attempt"] == 1
    assert set(line) == {"event", "level", "timestamp", "request_id", "attempt", "duration_ms", *members}


def test_a_hold_leaves_a_line_and_so_does_its_replay(session: Session, witness: Witness) -> None:
    product_id = session.create_product(stock=5)
    members = {"product_id": product_id, "quantity": 2}
    for is_replay in (False, True):
        hold, line = witness.ask(hold_request(product_id, 2, "a hold leaves a line"))
        assert_line(line, "hold_created", hold_id=hold["hold_id"], replayed=is_replay, **members)


@pytest.mark.parametrize(
    ("quantity", "slug"), [(6, "insufficient_stock"), (4, "quantity_out_of_range"), (-1, "invalid_request")]
)
def test_a_refused_hold_leaves_a_line_with_the_reason(
    session: Session, witness: Witness, quantity: int, slug: str
) -> None:
    product_id = session.create_product(stock=5)
    if slug == "quantity_out_of_range":
        session.execute("UPDATE products SET maximum_per_hold = 3 WHERE id = %s", product_id)
    _, line = witness.ask(hold_request(product_id, quantity))
    assert_line(line, "hold_rejected", reason=slug, product_id=product_id, quantity=quantity)


def test_an_order_and_its_payments_leave_a_line_each(session: Session, witness: Witness) -> None:
    product_id = session.create_product(stock=5)
    hold, _ = witness.ask(hold_request(product_id))
    order, line = witness.ask(order_request(hold["hold_id"]))
    order_id = order["order_id"]
    members = {"product_id": product_id, "quantity": 1, "status": "pending", "replayed": False}
    assert_line(line, "order_created", order_id=order_id, hold_id=hold["hold_id"], **members)
    _, line = witness.ask(order_request(hold["hold_id"]))
    assert_line(line, "order_rejected", hold_id=hold["hold_id"], reason="hold_already_used")

    for key, event, outcome in (
        ("a payment", "payment_applied", "applied"),
        ("a payment", "payment_duplicate", "applied"),
        ("another payment", "payment_refund_due", "refund_due"),
    ):
        _, line = witness.ask(payment_request(key, order_id))
        assert_line(line, event, order_id=order_id, outcome=outcome)

    _, line = witness.ask(payment_request("a failure after it", order_id, "failure"))
    assert_line(line, "payment_ignored", order_id=order_id, outcome="ignored")
    _, line = witness.ask(payment_request("a payment", order_id, "failure"))
    assert_line(line, "payment_rejected", order_id=order_id, reason="idempotency_key_reused")
    _, line = witness.ask(payment_request("too early", order_id + 1000))
    assert_line(line, "payment_waiting", order_id=order_id + 1000, outcome="waiting")


def test_a_refund_and_a_refused_one_leave_a_line_each(session: Session, witness: Witness) -> None:
    hold, _ = witness.ask(hold_request(session.create_product(stock=5, price="0.10"), 3))
    order, _ = witness.ask(order_request(hold["hold_id"]))
    order_id = order["order_id"]
    members = {"order_id": order_id, "restock": False}
    _, line = witness.ask(refund_request(order_id, restock=False))
    assert_line(line, "refund_rejected", reason="order_not_paid", **members)
    witness.ask(payment_request("paid before its refund", order_id))
    refund, line = witness.ask(refund_request(order_id, {hold["hold_id"]: 3}, restock=False))
    members |= {"refund_id": refund["refund_id"], "amount": 0.3, "status": "refunded", "replayed": False}
    assert_line(line, "refund_created", **members)


def test_a_release_and_a_cancellation_leave_a_line_each(session: Session, witness: Witness) -> None:
    product_id = session.create_product(stock=5)
    hold, _ = witness.ask(hold_request(product_id))
    _, line = witness.ask({"method": "DELETE", "url": f"/api/holds/{hold['hold_id']}"})
    assert {"event": "hold_released", "hold_id": hold["hold_id"]}.items() <= line.items()
    hold, _ = witness.ask(hold_request(product_id))
    order, _ = witness.ask(order_request(hold["hold_id"]))
    _, line = witness.ask({"method": "POST", "url": f"/api/orders/{order['order_id']}/cancel"})
    assert {"event": "order_cancelled", "order_id": order["order_id"]}.items() <= line.items()


def test_extension_reduction_and_started_payment_leave_a_line_but_their_replays_none(
    service: Service, client: httpx.Client, session: Session
) -> None:
    hold_id = client.request(**hold_request(session.create_product(stock=5), 2)).json()["hold_id"]
    for _ in range(2):
        client.post(f"/api/holds/{hold_id}/extend")
        client.patch(f"/api/holds/{hold_id}", json={"quantity": 1})
    order_id = client.request(**order_request(hold_id)).json()["order_id"]
    for _ in range(2):
        client.post(f"/api/orders/{order_id}/start-payment")
    client.request(**payment_request(f"after the starts of {order_id}", order_id))
    eventually(lambda: service.events("payment_applied", order_id=order_id))
    assert len(service.events("hold_extended", hold_id=hold_id)) == 1
    assert len(service.events("hold_reduced", hold_id=hold_id, quantity=1)) == 1
    assert len(service.events("payment_started", order_id=order_id)) == 1


def test_no_secret_key_or_body_of_a_client_is_logged(service: Service, session: Session, client: httpx.Client) -> None:
    product_id = session.create_product(stock=5)
    secret = "a key that opens a payment"
    hold_id = client.request(**hold_request(product_id, key=secret)).json()["hold_id"]
    order_id = client.request(**order_request(hold_id, key=secret)).json()["order_id"]
    client.headers["Authorization"] = "Bearer of a secret"
    client.request(**payment_request(secret, order_id))
    client.post("/api/holds", content=b'{"secret": "of a body"')
    text = service.text()
    for word in (secret, *PASSWORDS.values(), "Bearer", "of a body"):
        assert word not in text


def test_a_client_cannot_forge_a_line(service: Service, client: httpx.Client) -> None:
    forged = '"} {"event":"order_created"'
    client.get("/healthz", headers={"X-Request-Id": forged})
    client.post("/api/payments/webhook", json={"idempotency_key": "x", "order_id": 1, "status": f"x\n{forged}"})
    for line in service.text().splitlines():
        if line.startswith("{"):
            json.loads(line)
