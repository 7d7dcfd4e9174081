"""API keys, and how often one may ask."""

import socket
from collections.abc import Callable
from hashlib import sha256

import httpx
import pytest

from tests.http.support import PATIENCE_S, Service, assert_problem, hold_request, payment_request
from tests.support import Session

KEYS = {"web": "a key of the web shop", "app": "a key of the app"}
API_KEYS = ",".join(f"{name}:{sha256(key.encode()).hexdigest()}" for name, key in KEYS.items())
LIMIT = 5
CROWD = 300
TRIES = 5


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def keyed(start_service: Callable[..., Service]) -> Service:
    """A service that asks for keys."""
    return start_service(API_KEYS=API_KEYS)


@pytest.mark.parametrize("key", KEYS.values())
def test_each_key_opens_the_shop(keyed: Service, session: Session, key: str) -> None:
    product_id = session.create_product(stock=1)
    with keyed.client() as client:
        assert client.request(**{**hold_request(product_id), "headers": bearer(key)}).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("a key"),
        {"Authorization": "Bearer"},
        {"Authorization": KEYS["web"]},
        {"Authorization": f"Basic {KEYS['web']}"},
    ],
)
def test_without_a_key_nothing_changes(keyed: Service, session: Session, headers: dict[str, str]) -> None:
    product_id = session.create_product(stock=1)
    with keyed.client() as client:
        response = client.request(**{**hold_request(product_id), "headers": headers})
        assert_problem(response, 401, "unauthorized", None)
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert client.get(f"/api/products/{product_id}", headers=headers).status_code == 401
    assert session.available(product_id) == 1


def test_health_and_webhooks_need_no_key(keyed: Service) -> None:
    with keyed.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.request(**payment_request("of nobody", 2**40)).status_code == 202


def test_keys_are_in_no_log(keyed: Service) -> None:
    assert not any(key in keyed.text() for key in KEYS.values())


def statuses(client: httpx.Client, number: int, headers: dict[str, str] | None = None) -> list[int]:
    return [client.get("/api/products/1", headers=headers).status_code for _ in range(number)]


def test_each_key_may_ask_so_often(start_service: Callable[..., Service]) -> None:
    service = start_service(API_KEYS=API_KEYS, RATE_LIMIT_PER_KEY=f"{LIMIT}/hour")
    with service.client() as client:
        assert 429 not in statuses(client, LIMIT, bearer(KEYS["web"]))
        response = client.get("/api/products/1", headers=bearer(KEYS["web"]))
        assert_problem(response, 429, "rate_limited", None)
        assert 1 <= int(response.headers["Retry-After"]) <= 3600
        assert 429 not in statuses(client, LIMIT, bearer(KEYS["app"]))
        assert client.request(**payment_request("never limited", 2**40)).status_code == 202


def test_a_crowd_that_asks_at_once_is_limited_too(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/hour", TRUSTED_PROXIES="127.0.0.1", WEB_CONCURRENCY="1")

    def number_served(address: str) -> int:
        request = {"method": "GET", "url": "/api/products/1", "headers": {"X-Forwarded-For": address}}
        return sum(answer.status_code != 429 for answer in service.at_once([request] * CROWD, CROWD))

    # On a busy machine Redis may be slow once, which opens the limits.
    assert any(number_served(f"198.51.100.{number}") == LIMIT for number in range(TRIES))


def test_each_address_may_ask_so_often(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/hour", TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8")
    with service.client() as client:
        for forged in ("", "203.0.113.9, ", "no address, "):
            forwarded = {"X-Forwarded-For": f"{forged}198.51.100.1, 10.1.2.3"}
            assert client.get("/api/products/1", headers=forwarded).status_code != 429
        assert 429 not in statuses(client, LIMIT - 3, {"X-Forwarded-For": "198.51.100.1"})
        assert statuses(client, 1, {"X-Forwarded-For": "198.51.100.1"}) == [429]
        assert 429 not in statuses(client, LIMIT, {"X-Forwarded-For": "198.51.100.2"})


def test_a_guessed_key_counts_and_after_too_many_even_a_right_one_is_not_heard(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(API_KEYS=API_KEYS, RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/day", TRUSTED_PROXIES="127.0.0.1")
    guesser, shop = ({"X-Forwarded-For": address} for address in ("198.51.100.3", "198.51.100.4"))
    with service.client() as client:
        guesses = [statuses(client, 1, {**guesser, **bearer(f"guess {number}")})[0] for number in range(LIMIT + 1)]
        assert guesses == [401] * LIMIT + [429]
        assert statuses(client, 1, {**guesser, **bearer(KEYS["web"])}) == [429]
        assert 429 not in statuses(client, 1, {**shop, **bearer(KEYS["web"])})


def test_an_ipv6_client_is_counted_by_its_network(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/minute", TRUSTED_PROXIES="127.0.0.1")
    with service.client() as client:
        own = [{"X-Forwarded-For": f"2001:db8:0:1::{number:x}:1"} for number in range(LIMIT + 1)]
        assert [status for header in own for status in statuses(client, 1, header)].count(429) == 1
        assert 429 not in statuses(client, 1, {"X-Forwarded-For": "2001:db8:0:2::1"})
        mapped = [statuses(client, 1, {"X-Forwarded-For": f"::ffff:203.0.113.{number}"}) for number in range(LIMIT + 1)]
        assert [429] not in mapped


def test_a_refused_post_carries_a_key_all_the_same(start_service: Callable[..., Service]) -> None:
    service = start_service(API_KEYS=API_KEYS, RATE_LIMIT_PER_ADDRESS="4/day", TRUSTED_PROXIES="127.0.0.1")
    orders = {"method": "POST", "url": "/api/orders", "json": {"hold_id": 1}}
    with service.client() as client:
        for expected in (401, 429):
            for request in (hold_request(1), orders):
                response = client.request(**request)
                assert response.status_code == expected
                assert response.headers["Idempotency-Key"]
                again = client.request(**{**request, "headers": {"Idempotency-Key": "cart"}})
                assert again.headers["Idempotency-Key"] == "cart"


METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "PATCH"]
STRANGE_PATHS = ["/api/orders/1/refund", "/API/holds", "/api", "/api/holds%00", "/*", "/api/orders/1//"]


@pytest.mark.parametrize("method", METHODS)
def test_a_path_without_a_route_tells_nobody_anything(keyed: Service, method: str) -> None:
    with keyed.client() as client:
        for path in STRANGE_PATHS:
            response = client.request(method, httpx.URL(keyed.url).copy_with(raw_path=path.encode()))
            assert response.status_code == 404, path
            assert "Allow" not in response.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "HEAD"])
def test_a_method_without_a_responder_does_nothing_without_a_key(keyed: Service, method: str) -> None:
    with keyed.client() as client:
        for path in ("/api/holds", "/api/holds/1", "/api/orders/1/cancel"):
            response = client.request(method, path)
            assert response.status_code == 401
            assert "Allow" not in response.headers


def test_nobody_is_believed_who_is_no_trusted_proxy(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/day")
    with service.client() as client:
        answers = [statuses(client, 1, {"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(LIMIT + 1)]
    assert answers[-1] == [429]
    assert answers.count([429]) == 1


def test_without_redis_nothing_is_limited(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS="1/minute", REDIS_URL="redis://127.0.0.1:1/0", WEB_CONCURRENCY="1")
    with service.client() as client:
        assert 429 not in statuses(client, 5)
    assert service.events("rate_limits_open")


def test_idempotency_keys_are_apart_for_each_key(keyed: Service, session: Session) -> None:
    product_id = session.create_product(stock=10)
    with keyed.client() as client:
        requests = [
            {**hold_request(product_id), "headers": {**bearer(key), "Idempotency-Key": "the same"}}
            for key in KEYS.values()
        ]
        holds = [client.request(**request).json()["hold_id"] for request in requests]
        again = [client.request(**request) for request in requests]
    assert len(set(holds)) == len(KEYS)
    assert [response.json()["hold_id"] for response in again] == holds
    assert all(response.headers["Idempotent-Replayed"] == "true" for response in again)


ALIASES = ["//api/products/{}", "///api/products/{}", "/%2Fapi/products/{}", "/api/products/{}"]


@pytest.mark.parametrize("path", ALIASES)
def test_no_spelling_of_a_path_needs_no_key(keyed: Service, session: Session, path: str) -> None:
    url = keyed.url + path.format(session.create_product(stock=1))
    with keyed.client() as client:
        assert client.get(url).status_code == 401
        assert client.get(url, headers=bearer(KEYS["web"])).status_code == 200


def test_no_spelling_of_a_path_escapes_the_limit(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/minute", WEB_CONCURRENCY="1")
    with service.client() as client:
        assert statuses(client, LIMIT + 1)[-1] == 429
        answers = [client.get(service.url + path.format(1)).status_code for path in ALIASES]
    assert answers == [429] * len(ALIASES)


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    ],
)
@pytest.mark.parametrize("path", [b"/api/products/1", b"/nowhere"])
def test_another_protocol_is_no_way_around(keyed: Service, upgrade: bytes, path: bytes) -> None:
    url = httpx.URL(keyed.url)
    with socket.create_connection((url.host, url.port or 80), timeout=PATIENCE_S) as client:
        client.sendall(
            b"GET " + path + b" HTTP/1.1\r\nHost: checkout\r\nConnection: Upgrade\r\n" + upgrade + b"\r\n\r\n"
        )
        status = client.recv(65536).split()[1]
    assert status in {b"401", b"403", b"404"}
