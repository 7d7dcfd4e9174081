"""Webhooks that nobody signed change nothing."""

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
    """The service while its provider's secret is rotated."""
    return start_service(WEBHOOK_SECRETS=f"{OLD}, {NEW}")


@pytest.fixture
def order_id(session: Session, shop: Shop) -> int:
    """An order that waits for its payment."""
    return shop.ordered(session.create_product(stock=1))


@pytest.fixture
def unpaid(session: Session, order_id: int) -> Iterator[None]:
    """Check at the end that nothing was recorded of the order's payment."""
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
def test_each_current_secret_settles_a_payment(client: httpx.Client, order_id: int, secret: str) -> None:
    body = body_of(order_id)
    response = deliver(client, body, headers_of(body, secret))
    assert (response.status_code, response.json()["status"]) == (200, "paid")


def test_one_of_several_signatures_is_enough(client: httpx.Client, order_id: int) -> None:
    body = body_of(order_id)
    headers = headers_of(body, OLD)
    headers["webhook-signature"] = headers_of(body, STRANGE)["webhook-signature"] + " " + headers["webhook-signature"]
    assert deliver(client, body, headers).status_code == 200


@pytest.mark.usefixtures("unpaid")
@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize(
    "value",
    [None, "", "0", "-1", "nan", "1e300", "9" * 400, "v1", "v1,", "v1,é", "v1,AAAA", "v2,AAAA", "v1,a,b", "\x01"],
)
def test_a_malformed_header_is_refused(client: httpx.Client, order_id: int, name: str, value: str | None) -> None:
    body = body_of(order_id)
    headers = {key: text.encode("latin-1") for key, text in headers_of(body, NEW).items() if key != name}
    if value is not None:
        headers[name] = value.encode("latin-1")
    response = client.post("/api/payments/webhook", content=body, headers=headers)
    if value == "\x01":  # the server itself refuses it, before the service
        assert response.status_code in {400, 401}
    else:
        assert_problem(response, 401, "invalid_signature", None)


@pytest.mark.usefixtures("unpaid")
def test_a_strange_secret_is_refused(client: httpx.Client, order_id: int) -> None:
    body = body_of(order_id)
    assert_problem(deliver(client, body, headers_of(body, STRANGE)), 401, "invalid_signature", None)


@pytest.mark.usefixtures("unpaid")
def test_a_signature_of_another_body_is_refused(client: httpx.Client, order_id: int) -> None:
    response = deliver(client, body_of(order_id), headers_of(body_of(order_id, "other"), NEW))
    assert_problem(response, 401, "invalid_signature", None)


@pytest.mark.usefixtures("unpaid")
@pytest.mark.parametrize("away", [-TOLERANCE - MOMENT, TOLERANCE + MOMENT])
def test_a_signature_of_another_time_is_refused(client: httpx.Client, order_id: int, away: timedelta) -> None:
    body = body_of(order_id)
    response = deliver(client, body, headers_of(body, NEW, datetime.now(UTC) + away))
    assert_problem(response, 401, "invalid_signature", None)


@pytest.mark.parametrize("away", [-TOLERANCE + MOMENT, TOLERANCE - MOMENT])
def test_clocks_may_differ_a_little(client: httpx.Client, order_id: int, away: timedelta) -> None:
    body = body_of(order_id)
    assert deliver(client, body, headers_of(body, NEW, datetime.now(UTC) + away)).status_code == 200


@pytest.mark.parametrize("body", ["", "{", "[" * 5000, "null", "\x00"])
def test_what_is_signed_must_still_be_a_payment(client: httpx.Client, body: str) -> None:
    response = deliver(client, body, headers_of(body, NEW))
    assert_problem(response, 422 if body == "null" else 400, "invalid_request", 30001)


def test_of_two_orders_in_a_signed_body_the_last_is_paid_and_logged(
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


def test_secrets_are_in_no_log(service: Service) -> None:
    said = service.text()
    assert OLD not in said
    assert NEW not in said


def test_a_start_without_secrets_says_so(start_service: Callable[..., Service]) -> None:
    assert "WARNING: WEBHOOK_SECRETS is empty" in start_service().text()
