"""Signatures of webhooks: which ones the service accepts, and that others change nothing."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from tests.http.support import Service, Shop, assert_problem
from tests.support import Session

OLD, NEW, STRANGE = ("whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))
TOLERANCE = timedelta(minutes=5)
MOMENT = timedelta(seconds=30)


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with an old and a new secret, as during a rotation."""
    return start_service(WEBHOOK_SECRETS=f"{OLD}, {NEW}")


@pytest.fixture
def order_id(session: Session, shop: Shop) -> int:
    """A pending order."""
    return shop.ordered(session.create_product(stock=1))


@pytest.fixture
def unpaid(session: Session, order_id: int) -> Iterator[None]:
    """Check after the test that the order is pending and has no payment event."""
    yield
    assert session.status_of("order", order_id) == "pending"
    assert session.query("SELECT 1 FROM payment_events WHERE order_id = %s", order_id) == []


def body_of(order_id: int, key: str = "payment") -> str:
    return json.dumps({"idempotency_key": f"{key}-{order_id}", "order_id": order_id, "status": "success"})


def headers_of(body: str, secret: str, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body),
    }


def deliver(client: httpx.Client, body: str, headers: dict[str, str]) -> httpx.Response:
    return client.post("/api/payments/webhook", content=body, headers=headers)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_each_of_two_secrets_is_accepted(client: httpx.Client, order_id: int, secret: str) -> None:
    body = body_of(order_id)
    response = deliver(client, body, headers_of(body, secret))
    assert (response.status_code, response.json()["status"]) == (200, "paid")


def test_one_valid_signature_of_several_is_enough(client: httpx.Client, order_id: int) -> None:
    body = body_of(order_id)
    headers = headers_of(body, OLD)
    headers["webhook-signature"] = headers_of(body, STRANGE)["webhook-signature"] + " " + headers["webhook-signature"]
    assert deliver(client, body, headers).status_code == 200


MALFORMED = {
    "webhook-id": [None, ""],
    "webhook-timestamp": [None, "", "0", "-1", "nan", "1e300", "9" * 400, "v1"],
    "webhook-signature": [None, "", "0", "v1", "v1,", "v1,é", "v1,AAAA", "v2,AAAA", "v1,a,b"],
}


@pytest.mark.usefixtures("unpaid")
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_header_is_401(client: httpx.Client, order_id: int, name: str) -> None:
    body = body_of(order_id)
    for value in MALFORMED[name]:
        headers = {key: text.encode("latin-1") for key, text in headers_of(body, NEW).items() if key != name}
        if value is not None:
            headers[name] = value.encode("latin-1")
        response = client.post("/api/payments/webhook", content=body, headers=headers)
        assert_problem(response, 401, "invalid_signature", None)


@pytest.mark.usefixtures("unpaid")
def test_a_signature_of_another_secret_is_401(client: httpx.Client, order_id: int) -> None:
    body = body_of(order_id)
    assert_problem(deliver(client, body, headers_of(body, STRANGE)), 401, "invalid_signature", None)


@pytest.mark.usefixtures("unpaid")
def test_a_signature_of_another_body_is_401(client: httpx.Client, order_id: int) -> None:
    response = deliver(client, body_of(order_id), headers_of(body_of(order_id, "other"), NEW))
    assert_problem(response, 401, "invalid_signature", None)


@pytest.mark.usefixtures("unpaid")
@pytest.mark.parametrize("away", [-TOLERANCE - MOMENT, TOLERANCE + MOMENT])
def test_a_signature_more_than_five_minutes_away_is_401(client: httpx.Client, order_id: int, away: timedelta) -> None:
    body = body_of(order_id)
    response = deliver(client, body, headers_of(body, NEW, datetime.now(UTC) + away))
    assert_problem(response, 401, "invalid_signature", None)


@pytest.mark.parametrize("away", [-TOLERANCE + MOMENT, TOLERANCE - MOMENT])
def test_a_signature_less_than_five_minutes_away_is_accepted(
    client: httpx.Client, order_id: int, away: timedelta
) -> None:
    body = body_of(order_id)
    assert deliver(client, body, headers_of(body, NEW, datetime.now(UTC) + away)).status_code == 200


@pytest.mark.parametrize("body", ["", "{", "[" * 5000, "null", "\x00"])
def test_a_signed_body_that_is_not_a_payment_is_refused(client: httpx.Client, body: str) -> None:
    response = deliver(client, body, headers_of(body, NEW))
    assert_problem(response, 422 if body == "null" else 400, "invalid_request", 30001)


def test_the_last_of_two_order_ids_in_a_signed_body_is_paid_and_logged(
    service: Service, client: httpx.Client, order_id: int
) -> None:
    body = body_of(order_id).replace('"order_id"', '"order_id": 4000000, "order_id"')
    response = deliver(client, body, headers_of(body, NEW))
    assert (response.status_code, response.json()["order_id"]) == (200, order_id)
    assert service.events("payment_applied", order_id=order_id)


def test_bytes_that_are_no_text_cannot_be_signed(client: httpx.Client) -> None:
    headers = headers_of("{}", NEW)
    response = client.post("/api/payments/webhook", content=b"\xff\xfe", headers=headers)
    assert_problem(response, 401, "invalid_signature", None)


def test_webhook_secrets_are_not_logged(service: Service) -> None:
    said = service.text()
    assert OLD not in said
    assert NEW not in said


def test_a_start_without_webhook_secrets_logs_a_warning(start_service: Callable[..., Service]) -> None:
    assert "WARNING: WEBHOOK_SECRETS is empty" in start_service().text()
