"""Idempotency-Key over HTTP: which responses have it, and how a replay looks."""

import uuid

import httpx
import pytest

from tests.http.support import (
    Service,
    Shop,
    assert_problem,
    hold_request,
    order_request,
    payment_request,
    refund_request,
)
from tests.support import Session


def new_key() -> str:
    """A key that was never used."""
    return str(uuid.uuid4())


def is_replay(response: httpx.Response) -> bool:
    """Whether a response is marked as a replay."""
    return response.headers.get("Idempotent-Replayed") == "true"


def assert_replays(first: httpx.Response, again: httpx.Response) -> None:
    """Check that one response replays another."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("Location", "Idempotency-Key", "Content-Type"):
        assert again.headers.get(name) == first.headers.get(name)
    assert not is_replay(first)
    assert is_replay(again)


def test_a_hundred_concurrent_sends_of_one_key_make_one_hold(service: Service, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    responses = service.at_once([hold_request(product_id, 2, new_key())] * 100)
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert [is_replay(response) for response in responses].count(False) == 1
    assert shop.available(product_id) == 3


@pytest.mark.parametrize("given", [None, "the client's own"], ids=["generated", "given"])
def test_a_hold_an_order_and_a_refund_replay_under_the_key_of_their_responses(
    client: httpx.Client, session: Session, given: str | None
) -> None:
    product_id = session.create_product(stock=5)
    hold = client.request(**hold_request(product_id, 2, given))
    assert_replays(hold, client.request(**hold_request(product_id, 2, hold.headers["Idempotency-Key"])))
    hold_id = hold.json()["hold_id"]
    order = client.request(**order_request(hold_id, given))
    assert_replays(order, client.request(**order_request(hold_id, order.headers["Idempotency-Key"])))
    order_id = order.json()["order_id"]
    client.request(**payment_request(f"payment of {order_id}", order_id))
    refund = client.request(**refund_request(order_id, {hold_id: 1}, key=given))
    client.request(**refund_request(order_id))
    again = client.request(**refund_request(order_id, {hold_id: 1}, key=refund.headers["Idempotency-Key"]))
    assert_replays(refund, again)
    assert session.available(product_id) == 5


def test_a_key_of_another_request_is_409(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id, key = session.create_product(stock=9), new_key()
    hold_id = client.request(**hold_request(product_id, 2, key)).json()["hold_id"]
    client.request(**order_request(hold_id, key))
    for request in (hold_request(product_id, 3, key), order_request(shop.hold(product_id), key)):
        response = client.request(**request)
        assert_problem(response, 409, "idempotency_key_reused", 30002)
        assert response.headers["Idempotency-Key"] == key


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/holds", {"product_id": 999_999, "quantity": 1}, 404),
        ("/api/holds", {}, 422),
        ("/api/orders", {"hold_id": 999_999_999}, 404),
        ("/api/orders", {}, 422),
        ("/api/orders/999999999/refunds", {"restock": True}, 404),
        ("/api/orders/none/refunds", {"restock": True}, 404),
        ("/api/orders/1/refunds", {}, 422),
    ],
)
@pytest.mark.parametrize("key", [None, "a key that comes back"])
def test_a_refusal_has_the_key_too(
    client: httpx.Client, path: str, body: dict[str, int], status: int, key: str | None
) -> None:
    response = client.post(path, json=body, headers={"Idempotency-Key": key} if key else {})
    assert response.status_code == status
    assert response.headers["Idempotency-Key"] == (key or response.headers["Idempotency-Key"])
    assert response.headers["Idempotency-Key"]
    assert not is_replay(response)


KEYS = ("abc", "ABC", "ábc", "a\u0301bc", "straße", "strasse", "k", "\u212a", "限定🎟", "k" * 254, "k" * 255)
SPECIAL_KEYS = ('"', "'", "\\", "%s", "; DROP TABLE holds", "a b", "a  b")


def test_keys_that_differ_in_any_byte_are_different_keys(client: httpx.Client, session: Session) -> None:
    """HTTP libraries read a header as Latin-1; the service takes its bytes as UTF-8."""
    keys = KEYS + SPECIAL_KEYS
    product_id = session.create_product(stock=20)

    def send(key: str) -> httpx.Response:
        body = {"product_id": product_id, "quantity": 1}
        return client.post("/api/holds", json=body, headers={b"Idempotency-Key": key.encode()})

    first = [send(key) for key in keys]
    assert [response.status_code for response in first] == [201] * len(keys)
    assert len({response.json()["hold_id"] for response in first}) == len(keys)
    for key, response in zip(keys, first, strict=True):
        assert_replays(response, send(key))
        (sent_back,) = [value for name, value in response.headers.raw if name.lower() == b"idempotency-key"]
        assert sent_back == key.encode()
    assert session.available(product_id) == 20 - len(keys)


def test_a_hold_by_call_replays_over_http_and_one_over_http_by_call(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    by_call, by_http = new_key(), new_key()
    made = session.call("create_hold", product_id, 1, by_call)[0]
    response = client.request(**hold_request(product_id, 1, by_call))
    assert (response.json()["hold_id"], is_replay(response)) == (made["hold_id"], True)
    hold_id = client.request(**hold_request(product_id, 1, by_http)).json()["hold_id"]
    again = session.call("create_hold", product_id, 1, by_http)[0]
    assert (again["hold_id"], again["replayed"]) == (hold_id, 1)


@pytest.mark.parametrize(("given", "kept_s"), [(None, 600), ("kept for a day", 86_400)])
def test_a_generated_key_is_kept_for_ten_minutes_and_a_given_one_for_a_day(
    client: httpx.Client, session: Session, given: str | None, kept_s: int
) -> None:
    product_id = session.create_product(stock=5)
    key = client.request(**hold_request(product_id, 1, given)).headers["Idempotency-Key"]
    (row,) = session.query(
        "SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), purge_after) AS s FROM idempotency_keys"
        " WHERE idempotency_key = %s",
        key,
    )
    assert kept_s - 20 <= row["s"] <= kept_s + 1
