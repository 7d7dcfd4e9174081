"""API keys and rate limits."""

import socket
from collections.abc import Callable
from functools import partial
from hashlib import sha256

import httpx
import pytest

from tests.http.support import Service, assert_problem, hold_request, payment_request
from tests.support import PATIENCE_S, Session, eventually

KEYS = {"web": "a key of the web shop", "app": "a key of the app"}
API_KEYS = ",".join(f"{name}:{sha256(key.encode()).hexdigest()}" for name, key in KEYS.items())
THIRD_KEY = "a key of a third shop"
LIMIT = 5
BURST = 300
TRIES = 5
READ = "/api/products/1"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def keyed(start_service: Callable[..., Service]) -> Service:
    """A service that requires API keys."""
    return start_service(API_KEYS=API_KEYS)


@pytest.mark.parametrize("key", KEYS.values())
def test_each_api_key_is_accepted(keyed: Service, session: Session, key: str) -> None:
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
def test_a_request_without_a_valid_key_is_401_and_changes_nothing(
    keyed: Service, session: Session, headers: dict[str, str]
) -> None:
    product_id = session.create_product(stock=1)
    with keyed.client() as client:
        response = client.request(**{**hold_request(product_id), "headers": headers})
        assert_problem(response, 401, "unauthorized", None)
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert client.get(f"/api/products/{product_id}", headers=headers).status_code == 401
        assert client.get("/api/events", headers=headers).status_code == 401
    assert session.available(product_id) == 1


def test_health_and_webhooks_need_no_key(keyed: Service) -> None:
    with keyed.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.request(**payment_request("of nobody", 2**40)).status_code == 202


def test_api_keys_are_not_logged(keyed: Service) -> None:
    assert not any(key in keyed.text() for key in KEYS.values())


METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "PATCH"]
STRANGE_PATHS = ["/api/orders/1/refund", "/API/holds", "/api", "/api/holds%00", "/*", "/api/orders/1//"]


@pytest.mark.parametrize("method", METHODS)
def test_a_path_without_a_route_is_404_and_names_no_methods(keyed: Service, method: str) -> None:
    with keyed.client() as client:
        for path in STRANGE_PATHS:
            response = client.request(method, httpx.URL(keyed.url).copy_with(raw_path=path.encode()))
            assert response.status_code == 404, path
            assert "Allow" not in response.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "HEAD"])
def test_a_method_that_a_path_does_not_have_is_401_without_a_key(keyed: Service, method: str) -> None:
    with keyed.client() as client:
        for path in ("/api/holds", "/api/holds/1", "/api/orders/1/cancel"):
            response = client.request(method, path)
            assert response.status_code == 401
            assert "Allow" not in response.headers


def test_the_same_idempotency_key_of_two_callers_makes_two_holds(keyed: Service, session: Session) -> None:
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
def test_every_spelling_of_a_path_needs_a_key(keyed: Service, session: Session, path: str) -> None:
    url = keyed.url + path.format(session.create_product(stock=1))
    with keyed.client() as client:
        assert client.get(url).status_code == 401
        assert client.get(url, headers=bearer(KEYS["web"])).status_code == 200


def shop_request(*addresses: str, key: str = "") -> dict[str, str]:
    """The headers of a request that proxies forward from an address, with an API key if one is given."""
    return {"X-Forwarded-For": ", ".join(addresses), **(bearer(key) if key else {})}


def statuses(client: httpx.Client, number: int, headers: dict[str, str] | None = None) -> list[int]:
    """The statuses of so many reads of a product."""
    return [client.get(READ, headers=headers).status_code for _ in range(number)]


def refusal_of(service: Service, call: Callable[[], httpx.Response]) -> httpx.Response:
    """Make a call that is beyond its rate limit; returns the response, which is 429.

    On a slow machine Redis may not answer within 0.1 s. Then the limits are open for a second and count no call, so the
    call is repeated until enough calls are counted.
    """
    response = call()
    if response.status_code != 429:
        assert service.events("rate_limits_open"), response.text
        response = eventually(lambda: (again := call()).status_code == 429 and again)
    return response


@pytest.fixture(scope="module")
def limited(start_service: Callable[..., Service]) -> Service:
    """A service with API keys, rate limits and trusted proxies. Each test counts under its own addresses and keys."""
    return start_service(
        API_KEYS=f"{API_KEYS},third:{sha256(THIRD_KEY.encode()).hexdigest()}",
        RATE_LIMIT_PER_KEY=f"{LIMIT + 3}/day",
        RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/day",
        TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8",
    )


def test_each_key_has_a_rate_limit(limited: Service) -> None:
    with limited.client() as client:
        for number in range(LIMIT + 3):
            headers = shop_request(f"203.0.113.{number}", key=KEYS["web"])
            assert 429 not in statuses(client, 1, headers)
        unused = map("203.0.113.{}".format, range(LIMIT + 3, 256))
        response = refusal_of(limited, lambda: client.get(READ, headers=shop_request(next(unused), key=KEYS["web"])))
        assert_problem(response, 429, "rate_limited", None)
        assert 1 <= int(response.headers["Retry-After"]) <= 86_400
        assert 429 not in statuses(client, 1, shop_request(next(unused), key=KEYS["app"]))


def test_each_address_has_a_rate_limit_that_no_forged_header_evades(limited: Service) -> None:
    """The nearest address that is not a trusted proxy's counts, whatever the client puts in front of it."""
    with limited.client() as client:
        for forged in ([], ["203.0.113.9"], ["no address"]):
            headers = shop_request(*forged, "198.51.100.1", "10.1.2.3", key=THIRD_KEY)
            assert 429 not in statuses(client, 1, headers)
        assert 429 not in statuses(client, LIMIT - 3, shop_request("198.51.100.1", key=THIRD_KEY))
        refusal_of(limited, partial(client.get, READ, headers=shop_request("198.51.100.1", key=THIRD_KEY)))
        assert 429 not in statuses(client, 1, shop_request("198.51.100.2", key=THIRD_KEY))


def test_a_burst_of_requests_is_limited_too(limited: Service) -> None:
    def number_served(address: str) -> int:
        request = {"method": "GET", "url": "/api/products/1", "headers": shop_request(address)}
        return sum(response.status_code != 429 for response in limited.at_once([request] * BURST, BURST))

    # On a busy machine Redis may be slow once, which opens the limits.
    assert any(number_served(f"198.51.100.{20 + number}") == LIMIT for number in range(TRIES))


def test_wrong_keys_count_and_after_too_many_a_right_one_is_refused(limited: Service) -> None:
    with limited.client() as client:
        guesses = [shop_request("198.51.100.3", key=f"guess {number}") for number in range(LIMIT + 1)]
        assert [status for guess in guesses[:-1] for status in statuses(client, 1, guess)] == [401] * LIMIT
        refusal_of(limited, partial(client.get, READ, headers=guesses[-1]))
        refusal_of(limited, partial(client.get, READ, headers=shop_request("198.51.100.3", key=KEYS["app"])))
        assert 429 not in statuses(client, 1, shop_request("198.51.100.4", key=KEYS["app"]))


def test_an_ipv6_client_is_counted_by_its_network_of_64_bits(limited: Service) -> None:
    with limited.client() as client:
        own = [shop_request(f"2001:db8:0:1::{number:x}:1") for number in range(LIMIT + 1)]
        assert [status for header in own[:-1] for status in statuses(client, 1, header)] == [401] * LIMIT
        refusal_of(limited, partial(client.get, READ, headers=own[-1]))
        assert statuses(client, 1, shop_request("2001:db8:0:2::1")) == [401]
        mapped = [shop_request(f"::ffff:203.0.113.{200 + number}") for number in range(LIMIT + 1)]
        assert [status for header in mapped for status in statuses(client, 1, header)] == [401] * (LIMIT + 1)


def test_a_refused_post_has_an_idempotency_key(limited: Service) -> None:
    forwarded = shop_request("198.51.100.5")
    posts = [
        {**request, "headers": {**forwarded, **key}}
        for request in (hold_request(1), {"method": "POST", "url": "/api/orders", "json": {"hold_id": 1}})
        for key in ({}, {"Idempotency-Key": "cart"})
    ]
    with limited.client() as client:
        unauthorized = [client.request(**post) for post in posts]
        statuses(client, LIMIT, forwarded)
        beyond_limit = [refusal_of(limited, partial(client.request, **post)) for post in posts]
    assert {answer.status_code for answer in unauthorized} == {401}
    keys = [answer.headers["Idempotency-Key"] for answer in (*unauthorized, *beyond_limit)]
    assert all(keys)
    assert keys[1::2] == ["cart"] * len(posts)


def test_webhooks_and_health_have_no_rate_limit(limited: Service) -> None:
    with limited.client() as client:
        for number in range(LIMIT + 1):
            request = {**payment_request(f"unlimited {number}", 2**40), "headers": shop_request("198.51.100.6")}
            assert client.request(**request).status_code == 202
            assert client.get("/healthz", headers=shop_request("198.51.100.6")).status_code == 200


def test_no_spelling_of_a_path_evades_the_rate_limit(limited: Service) -> None:
    headers = shop_request("198.51.100.7")
    with limited.client() as client:
        assert 429 not in statuses(client, LIMIT, headers)
        for path in ALIASES:
            refusal_of(limited, partial(client.get, limited.url + path.format(1), headers=headers))


def test_x_forwarded_for_is_ignored_unless_a_trusted_proxy_sends_it(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS=f"{LIMIT}/day", WEB_CONCURRENCY="1")
    with service.client() as client:
        for number in range(LIMIT):
            assert 429 not in statuses(client, 1, shop_request(f"198.51.100.{number}"))
        refusal_of(service, partial(client.get, READ, headers=shop_request(f"198.51.100.{LIMIT}")))


def test_without_redis_the_rate_limits_are_open(start_service: Callable[..., Service]) -> None:
    service = start_service(RATE_LIMIT_PER_ADDRESS="1/minute", REDIS_URL="redis://127.0.0.1:1/0", WEB_CONCURRENCY="1")
    with service.client() as client:
        assert 429 not in statuses(client, 5)
    assert service.events("rate_limits_open")


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    ],
)
@pytest.mark.parametrize("path", [b"/api/products/1", b"/nowhere"])
def test_a_request_to_upgrade_the_protocol_needs_a_key(keyed: Service, upgrade: bytes, path: bytes) -> None:
    url = httpx.URL(keyed.url)
    with socket.create_connection((url.host, url.port or 80), timeout=PATIENCE_S) as client:
        client.sendall(
            b"GET " + path + b" HTTP/1.1\r\nHost: checkout\r\nConnection: Upgrade\r\n" + upgrade + b"\r\n\r\n"
        )
        status = client.recv(65536).split()[1]
    assert status in {b"401", b"403", b"404"}
