"""The example configuration of nginx: which requests reach the service, and which nginx answers itself."""

import itertools
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer

import httpx
import pytest

from service.openapi import STRIPE_PATH
from service.requests import BODY_LIMIT_BYTES, STRIPE_BODY_LIMIT_BYTES
from stack.process import free_port
from tests.deployment.nginx import INSIDE, OUTSIDE, Nginx
from tests.http.support import Service, Shop, assert_problem, hold_request
from tests.support import PATIENCE_S, Session, eventually

HOLD = "/api/holds"
BODY_START = (
    b"POST /api/holds HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
)


@pytest.fixture(scope="module")
def limited(start_service: Callable[..., Service]) -> Service:
    """A service that trusts nginx and has a rate limit per address."""
    return start_service(TRUSTED_PROXIES="127.0.0.1", RATE_LIMIT_PER_ADDRESS="20/day", WEB_CONCURRENCY="1")


@pytest.fixture(scope="module")
def nginx(start_nginx: Callable[..., Nginx], service: Service) -> Nginx:
    """Nginx in front of the service."""
    return start_nginx(service)


@pytest.fixture
def outside(nginx: Nginx) -> Iterator[httpx.Client]:
    """A client that is not an operator."""
    with nginx.client() as client:
        yield client


def connect(nginx: Nginx) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", nginx.port), source_address=(OUTSIDE, 0), timeout=PATIENCE_S)
    return context.wrap_socket(plain)


def test_a_sale_works_through_nginx(outside: httpx.Client, session: Session) -> None:
    shop = Shop(outside)
    product_id = session.create_product(stock=3)
    order_id = shop.ordered(product_id, 2)
    assert shop.pay("payment", order_id)["status"] == "paid"
    assert shop.available(product_id) == 1
    refused = outside.request(**hold_request(product_id, 2))
    assert_problem(refused, 409, "insufficient_stock", 30102, available_stock=1)
    assert refused.headers["Idempotency-Key"]
    assert "Server" not in refused.headers or "/" not in refused.headers["Server"]


def test_nginx_listens_on_ipv6_too(nginx: Nginx) -> None:
    with httpx.Client(verify=False, timeout=PATIENCE_S, trust_env=False) as client:  # noqa: S501 the certificate is the test's own
        assert client.get(f"https://[::1]:{nginx.port}/healthz").status_code == 200
        assert client.get(f"http://[::1]:{nginx.plain_port}/healthz").status_code == 308


def test_a_path_with_a_trailing_slash_is_the_same_path(nginx: Nginx, session: Session) -> None:
    product_id = session.create_product(stock=3)
    with nginx.client(INSIDE) as client:
        product = f"/api/products/{product_id}/"
        for path in ("/healthz/", "/readyz/", "/metrics/", "/openapi.json/", "/docs/", "/api/events/", product):
            assert client.get(path).status_code == 200, path
        with client.stream("GET", f"/api/products/{product_id}/stock/stream/") as stream:
            assert next(stream.iter_lines()).startswith("id:")


def test_addresses_carry_the_path_prefix_that_the_proxy_strips(
    start_nginx: Callable[..., Nginx], start_service: Callable[..., Service], session: Session
) -> None:
    product_id = session.create_product(stock=3)
    prefixed = start_service(PATH_PREFIX="/shop", WEB_CONCURRENCY="1")
    nginx = start_nginx(prefixed, server_tokens="off; rewrite ^/shop(/.*)$ $1")
    with nginx.client(INSIDE) as client:
        hold = client.request(**hold_request(product_id) | {"url": f"/shop{HOLD}"})
        assert client.get(hold.headers["Location"]).json()["hold_id"] == hold.json()["hold_id"]
        order = client.post("/shop/api/orders", json={"hold_id": hold.json()["hold_id"]})
        assert client.get(order.headers["Location"]).json()["order_id"] == order.json()["order_id"]
        page = client.get("/shop/docs").text
        addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"',]+)["']""", page)
        assert {client.get(address).status_code for address in addresses} == {200}
        # Below the prefix, the same location as without it passes Stripe's long bodies on.
        assert client.post(f"/shop{STRIPE_PATH}", content=" " * STRIPE_BODY_LIMIT_BYTES).status_code == 404
        (server,) = client.get("/shop/openapi.json").json()["servers"]
        assert client.get(f"{server['url']}/api/products/{product_id}").status_code == 200


def test_a_stream_is_not_buffered(outside: httpx.Client, service: Service, session: Session) -> None:
    product_id = session.create_product(stock=3)
    with outside.stream("GET", f"/api/products/{product_id}/stock/stream") as stream, service.client() as client:
        stock = (
            json.loads(line.removeprefix("data:"))["available_stock"]
            for line in stream.iter_lines()
            if line.startswith("data:")
        )
        assert next(stock) == 3
        Shop(client).hold(product_id)
        assert next(stock) == 2


def test_plain_http_redirects_to_https(nginx: Nginx) -> None:
    address = f"http://127.0.0.1:{nginx.plain_port}/api/products/1"
    answer = httpx.get(address, headers={"Host": "shop.example"}, timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["Location"]) == (308, "https://shop.example/api/products/1")


@pytest.mark.parametrize("path", ["/readyz", "/readyz/", "/metrics", "/openapi.json", "/docs", "/docs/swagger-ui.css"])
def test_operators_pages_are_404_for_other_addresses(
    nginx: Nginx, service: Service, outside: httpx.Client, path: str
) -> None:
    refused = outside.get(path)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    with nginx.client(INSIDE) as inside, service.client() as client:
        assert inside.get(path).status_code == client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "//readyz", "/%72eadyz", "/api/../readyz", "/docs/../metrics"])
def test_no_other_spelling_opens_an_operators_page(nginx: Nginx, path: str) -> None:
    with closing(connect(nginx)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_nginx_refuses_a_body_over_the_limit(service: Service, outside: httpx.Client) -> None:
    refused = outside.post(HOLD, content=" " * (BODY_LIMIT_BYTES + 1), headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert refused.headers["Content-Type"] == "application/problem+json"
    with service.client() as client:
        own = client.post(HOLD, content=" " * (BODY_LIMIT_BYTES + 1), headers={"Content-Type": "application/json"})
    assert refused.json() == own.json()


def test_nginx_passes_a_body_of_exactly_the_limit(outside: httpx.Client) -> None:
    answer = outside.post(HOLD, content=" " * BODY_LIMIT_BYTES, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, "invalid_request", 30001)


def test_nginx_passes_longer_bodies_to_the_path_of_stripe_only(outside: httpx.Client) -> None:
    """The service behind it has no such path."""
    headers = {"Content-Type": "application/json"}
    for path in (STRIPE_PATH, f"{STRIPE_PATH}/"):
        passed = outside.post(path, content=" " * STRIPE_BODY_LIMIT_BYTES, headers=headers)
        assert_problem(passed, 404, "not_found", None)
    refused = outside.post(STRIPE_PATH, content=" " * (STRIPE_BODY_LIMIT_BYTES + 1), headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (413, f"Send at most {STRIPE_BODY_LIMIT_BYTES} bytes.")


def test_each_client_address_has_its_own_rate_limit(start_nginx: Callable[..., Nginx], limited: Service) -> None:
    nginx = start_nginx(limited)
    with nginx.client() as client:
        forged = map("198.51.100.{}".format, itertools.count())

        def status() -> int:
            return client.get("/api/products", headers={"X-Forwarded-For": next(forged)}).status_code

        assert {status() for _ in range(20)} == {200}
        # On a slow machine Redis may be late, and the limits open for a second.
        eventually(lambda: status() == 429)
    with nginx.client("127.0.0.3") as other:
        assert other.get("/api/products").status_code == 200


def test_concurrent_requests_per_address_are_limited(start_nginx: Callable[..., Nginx], service: Service) -> None:
    nginx = start_nginx(service, limit_conn="checkout 2")
    with closing(connect(nginx)) as first, closing(connect(nginx)) as second, nginx.client() as client:
        for connection in (first, second):
            connection.sendall(BODY_START)
        refused = eventually(lambda: (answer := client.get("/healthz")).status_code == 429 and answer)
        assert (refused.json()["code"], refused.headers["Retry-After"]) == ("rate_limited", "1")
        with nginx.client("127.0.0.3") as other:
            assert other.get("/healthz").status_code == 200


def test_an_instance_that_does_not_listen_is_skipped(start_nginx: Callable[..., Nginx], service: Service) -> None:
    nginx = start_nginx(service, server=f"127.0.0.1:{free_port()}; server {service.url.removeprefix('http://')}")
    with nginx.client() as client:
        assert {client.get("/healthz").status_code for _ in range(10)} == {200}


def test_a_request_that_reached_an_instance_is_not_sent_to_another(
    start_nginx: Callable[..., Nginx], service: Service, session: Session
) -> None:
    """The first instance dies after it has read the request, so its outcome is unknown."""
    product_id = session.create_product(stock=99)
    with dying_instance() as (port, heard):
        nginx = start_nginx(
            service, server=f"127.0.0.1:{port} max_fails=0; server {service.url.removeprefix('http://')}"
        )
        with nginx.client() as client:
            answers = [client.request(**hold_request(product_id)) for _ in range(8)]
    unknown = [answer for answer in answers if answer.status_code == 503]
    for answer in unknown:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (answer.json()["code"], answer.headers["Retry-After"]) == ("overloaded", "1")
    assert 1 <= len([text for text in heard if text.startswith(b"POST")]) == len(unknown) < len(answers)
    assert session.available(product_id) == 99 - len(answers) + len(unknown)


@contextmanager
def dying_instance() -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads a request and disconnects; yields its port, and a list of what it has read."""
    heard: list[bytes] = []

    class HangUp(BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(65536))

    with ThreadingTCPServer(("127.0.0.1", 0), HangUp) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_address[1], heard
        server.shutdown()
        thread.join()


def test_nginx_disconnects_slow_clients_without_passing_them_on(nginx: Nginx, service: Service) -> None:
    """One client sends its header byte by byte, one stops in the middle of its body."""
    before = service.text()
    with closing(connect(nginx)) as header, closing(connect(nginx)) as body:
        body.sendall(BODY_START)
        header.sendall(b"GET /api/products/1 HTTP/1.1\r\nX-Slow: ")
        assert is_cut_off(header, b"x")
        assert is_cut_off(body, b"")
    assert service.text() == before


def is_cut_off(connection: ssl.SSLSocket, drop: bytes) -> bool:
    """Whether nginx ends a connection that sends slowly, without a response or with 408."""
    connection.settimeout(0.2)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            answer = connection.recv(65536)
        except TimeoutError:
            connection.sendall(drop)
        else:
            return not answer or b" 408 " in answer
    return False
