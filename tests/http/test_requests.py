"""Invalid requests and unusual methods: status, problem document and headers; what every response has."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import httpx
import pytest

from service.openapi import PATHS
from tests.http.support import (
    Service,
    Shop,
    assert_common_headers,
    assert_problem,
    hold_request,
)
from tests.support import Session, eventually

HOLDS, ORDERS, WEBHOOK = "/api/holds", "/api/orders", "/api/payments/webhook"
BODIES: dict[str, dict[str, Any]] = {
    HOLDS: {"product_id": 1, "quantity": 1},
    ORDERS: {"hold_id": 1},
    WEBHOOK: {"idempotency_key": "a key", "order_id": 1, "status": "success"},
}
TAKES_KEY = (HOLDS, ORDERS)
BODY_LIMIT = 16 * 1024


def assert_key_comes_back(response: httpx.Response, path: str) -> None:
    """Check that the response to a POST that takes a key has one."""
    if path in TAKES_KEY:
        assert response.headers["Idempotency-Key"]


def padded(path: str, length: int) -> bytes:
    """A valid body of so many bytes."""
    text = json.dumps({**BODIES[path], "padding": ""}).encode()
    return text[:-2] + b"x" * (length - len(text)) + text[-2:]


def post(client: httpx.Client, path: str, body: bytes) -> httpx.Response:
    """Send a body as JSON."""
    return client.post(path, content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"not JSON",
        b"{'product_id': 1}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"product_id": 1, "quantity": 1} trailing',
        b'{"product_id": 1, "quantity": 1,}',
        b'{"product_id": NaN, "quantity": 1}',
        b'{"product_id": 1, "quantity": Infinity}',
        b"[" * 8000,
        b"[" * 8000 + b"]" * 8000,
        b'{"a":' * 2600 + b"1" + b"}" * 2600,
        b"product_id=1&quantity=1",
    ],
)
def test_a_body_that_is_not_json_is_400(client: httpx.Client, body: bytes) -> None:
    response = post(client, HOLDS, body)
    assert_problem(response, 400, "invalid_request", 30001)
    assert_key_comes_back(response, HOLDS)


@pytest.mark.parametrize(
    "member",
    [
        b"NaN",
        b"01",
        b"1.",
        b'"\xff"',
        b'"\xed\xa0\x80"',  # a surrogate
        b'"\xc0\xaf"',  # an overlong encoding
        b'"\x01"',
        b"tru",
        b'"open',
        b"[" * 4000 + b"]" * 4000,
        b'{"a":' * 2600 + b"1" + b"}" * 2600,
    ],
)
def test_a_body_whose_unknown_member_is_not_json_is_400(client: httpx.Client, member: bytes) -> None:
    body = json.dumps(BODIES[HOLDS]).encode()[:-1] + b', "more": ' + member + b"}"
    assert_problem(post(client, HOLDS, body), 400, "invalid_request", 30001)


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"1", b"true", b"{}"])
def test_json_that_is_not_a_request_is_422(client: httpx.Client, body: bytes) -> None:
    response = post(client, HOLDS, body)
    assert_problem(response, 422, "invalid_request", 30001)
    assert_key_comes_back(response, HOLDS)


@pytest.mark.parametrize("path", [ORDERS, WEBHOOK])
@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"{}", 422)])
def test_every_path_with_a_body_refuses_an_invalid_one(
    client: httpx.Client, path: str, body: bytes, status: int
) -> None:
    response = post(client, path, body)
    assert_problem(response, status, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize(("path", "member"), [(path, member) for path, body in BODIES.items() for member in body])
def test_a_member_of_the_wrong_type_or_out_of_range_is_422(client: httpx.Client, path: str, member: str) -> None:
    is_text = isinstance(BODIES[path][member], str)
    for value in (True, None, 1.5, [], {}, 10**30, -(10**30), 2**63, 7 if is_text else "seven"):
        response = client.post(path, json={**BODIES[path], member: value})
        assert_problem(response, 422, "invalid_request", 30001)
    missing = {name: value for name, value in BODIES[path].items() if name != member}
    assert_problem(client.post(path, json=missing), 422, "invalid_request", 30001)


def test_a_value_that_only_the_procedure_refuses_is_422(client: httpx.Client) -> None:
    for path, wrong in ((HOLDS, {"quantity": 0}), (WEBHOOK, {"status": "paid"}), (WEBHOOK, {"idempotency_key": ""})):
        assert_problem(client.post(path, json={**BODIES[path], **wrong}), 422, "invalid_request", 30001)


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("2.0", 201),
        ("2e0", 201),
        ("20.0e-1", 201),
        ('2.0, "more": 1e' + 30 * "9", 201),  # an unknown member may be any number
        ("1.5", 422),
        ("1e999999999", 422),
        ("1e" + 30 * "9", 422),
        ("-1e-" + 30 * "9", 422),
        (5000 * "9", 422),
    ],
)
def test_a_number_with_a_point_is_an_integer_if_it_has_no_fraction(
    client: httpx.Client, session: Session, written: str, status: int
) -> None:
    product_id = session.create_product(stock=2)
    response = post(client, HOLDS, f'{{"product_id": {product_id}, "quantity": {written}}}'.encode())
    assert response.status_code == status, response.text
    assert session.available(product_id) == (0 if status == 201 else 2)


def test_an_integer_with_a_point_keeps_its_digits(client: httpx.Client) -> None:
    body = b'{"idempotency_key": "exact", "order_id": 9007199254740993.0, "status": "success"}'
    assert post(client, WEBHOOK, body).json()["order_id"] == 9007199254740993


def test_the_last_of_two_members_of_one_name_counts_for_stock_log_and_replay(
    service: Service, client: httpx.Client, session: Session
) -> None:
    product_id = session.create_product(stock=10)
    wide = ",".join(f'"{number}":{number}' for number in range(1200))
    body = f'{{"quantity":9,"product_id":{product_id},{wide},"quantity":2}}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"twice {product_id}"}
    first, again = (client.post(HOLDS, content=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert session.available(product_id) == 8
    assert len(service.events("hold_created", product_id=product_id, quantity=2)) == 2


@pytest.mark.parametrize(
    ("coding", "status"), [("gzip", 415), ("br, identity", 415), ("identity", 422), ("Identity", 422)]
)
def test_a_body_with_a_content_coding_is_415(client: httpx.Client, coding: str, status: int) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    response = client.post(HOLDS, content=gzip.compress(b"{}") if coding == "gzip" else b"{}", headers=headers)
    assert_problem(response, status, "invalid_request", 30001)
    assert_key_comes_back(response, HOLDS)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"])
def test_a_body_of_another_media_type_is_415(client: httpx.Client, media_type: str) -> None:
    response = client.post(HOLDS, content=json.dumps(BODIES[HOLDS]), headers={"Content-Type": media_type})
    assert_problem(response, 415, "invalid_request", 30001)
    assert_key_comes_back(response, HOLDS)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_parameters_and_case_of_the_media_type_do_not_matter(
    client: httpx.Client, session: Session, media_type: str
) -> None:
    body = json.dumps({"product_id": session.create_product(stock=5), "quantity": 1})
    response = client.post(HOLDS, content=body, headers={"Content-Type": media_type})
    assert response.status_code == 201


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with its length", "in chunks"])
@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 1_000_000])
def test_a_body_over_16_kib_is_413(client: httpx.Client, is_chunked: bool, length: int) -> None:
    body = padded(HOLDS, length)
    chunks: Any = (body[start : start + 1000] for start in range(0, length, 1000)) if is_chunked else body
    try:
        response = client.post(HOLDS, content=chunks, headers={"Content-Type": "application/json"})
    except (httpx.WriteError, httpx.ReadError):
        # The server may close the connection before the client has sent a long body.
        assert length == 1_000_000
        return
    assert_problem(response, 413, "invalid_request", 30001)
    assert_key_comes_back(response, HOLDS)


def test_a_webhook_body_over_16_kib_is_413(client: httpx.Client) -> None:
    assert_problem(post(client, WEBHOOK, padded(WEBHOOK, BODY_LIMIT + 1)), 413, "invalid_request", 30001)


@pytest.mark.parametrize("path", [HOLDS, WEBHOOK])
def test_a_body_of_exactly_16_kib_is_read(client: httpx.Client, path: str) -> None:
    assert post(client, path, padded(path, BODY_LIMIT)).status_code in {201, 202, 404, 409}


@pytest.mark.parametrize("path", TAKES_KEY)
@pytest.mark.parametrize(
    "key",
    [b"", b"k" * 256, "ä".encode() * 128, b"\xff\xfe", b"\xed\xa0\x80"],
    ids=["empty", "256 bytes", "128 characters of 2 bytes", "not UTF-8", "surrogate"],
)
def test_an_invalid_idempotency_key_is_422(client: httpx.Client, path: str, key: bytes) -> None:
    response = client.post(path, json=BODIES[path], headers={b"Idempotency-Key": key})
    assert_problem(response, 422, "invalid_request", 30001)
    assert "Idempotency-Key" in response.headers


@pytest.mark.parametrize("second", [b"a", b"b"])
def test_two_idempotency_keys_are_422(client: httpx.Client, second: bytes) -> None:
    headers = [(b"Idempotency-Key", b"a"), (b"Idempotency-Key", second)]
    assert_problem(client.post(HOLDS, json=BODIES[HOLDS], headers=headers), 422, "invalid_request", 30001)


def test_an_idempotency_key_may_contain_a_comma(client: httpx.Client, session: Session) -> None:
    request = hold_request(session.create_product(stock=1), key="a,b")
    assert client.request(**request).headers["Idempotency-Key"] == "a,b"


def test_an_invalid_request_does_not_fail_others_of_its_batch(service: Service, session: Session) -> None:
    product_id = session.create_product(stock=100)
    good, bad = hold_request(product_id), hold_request(product_id, key="k" * 256)
    responses = service.at_once([good, bad] * 50)
    assert {response.status_code for response in responses[::2]} == {201}
    assert {response.status_code for response in responses[1::2]} == {422}
    assert session.available(product_id) == 50


def test_unknown_members_are_ignored(client: httpx.Client, session: Session) -> None:
    """Also those that a procedure's element has: a client cannot set them."""
    product_id = session.create_product(stock=5)
    more = {"is_generated_key": True, "idempotency_key": "ignored", "caller": "app", "extra": [{"x": None}]}
    hold = client.post(HOLDS, json={"product_id": product_id, "quantity": 1, **more})
    assert hold.status_code == 201
    assert hold.headers["Idempotency-Key"] != "ignored"
    assert client.get(hold.headers["Location"]).status_code == 200


@pytest.mark.parametrize("path", ["/", "/nope", "/api", "/api/", "/api/holds/1/2", "/API/holds"])
def test_an_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert_problem(client.request(method, path), 404, "not_found", None)


def test_an_id_that_cannot_exist_is_404_whatever_the_body(client: httpx.Client) -> None:
    for method, path, slug, errno in (
        ("PATCH", f"{HOLDS}/abc", "hold_not_found", 30201),
        ("POST", f"{ORDERS}/abc/start-payment", "order_not_found", 30301),
        ("POST", f"{ORDERS}/abc/refunds", "order_not_found", 30301),
    ):
        assert_problem(client.request(method, path, content=b"{"), 404, slug, errno)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", HOLDS, {"POST"}),
        ("GET", HOLDS, {"POST"}),
        ("POST", f"{HOLDS}/1", {"GET", "DELETE", "PATCH"}),
        ("DELETE", ORDERS, {"GET", "POST"}),
        ("DELETE", f"{ORDERS}/1", {"GET"}),
        ("GET", f"{ORDERS}/1/cancel", {"POST"}),
        ("GET", f"{ORDERS}/1/refunds", {"POST"}),
        ("GET", WEBHOOK, {"POST"}),
        ("POST", "/api/products", {"GET"}),
        ("PATCH", "/api/products/1", {"GET"}),
        ("POST", "/healthz", {"GET"}),
        ("POST", "/readyz", {"GET"}),
    ],
)
def test_a_method_that_a_path_does_not_have_is_405_with_the_allowed_ones(
    client: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, "method_not_allowed", None)
    assert set(response.headers["Allow"].split(", ")) - {"OPTIONS", "HEAD"} == allowed


@pytest.mark.parametrize("path", ["/api/products/", f"{HOLDS}/", f"{ORDERS}/", f"{WEBHOOK}/", "/readyz/", "/docs/"])
def test_a_path_with_a_trailing_slash_is_the_same_path(client: httpx.Client, path: str) -> None:
    method = "POST" if path.strip("/") in {known.strip("/") for known in BODIES} else "GET"
    assert client.request(method, path).status_code == client.request(method, path.rstrip("/")).status_code != 405


@pytest.mark.parametrize("path", [path for path, operations in PATHS.items() if "get" in operations])
def test_head_has_the_headers_of_get_and_no_content(
    client: httpx.Client, session: Session, shop: Shop, path: str
) -> None:
    order_id = shop.ordered(session.create_product(stock=1))
    hold_id = session.query("SELECT hold_id FROM orders WHERE id = %s", order_id)[0]["hold_id"]
    product_id = session.query("SELECT product_id FROM orders WHERE id = %s", order_id)[0]["product_id"]
    url = path.format(product_id=product_id, hold_id=hold_id, order_id=order_id, name="swagger-ui.css")
    head = client.head(url)
    with client.stream("GET", url) as get:
        assert head.status_code == get.status_code == 200
        # Transfer-Encoding belongs to the content. The content of /metrics differs from one request to the next.
        changing = {"date", "x-request-id", "transfer-encoding", *({"content-length"} if path == "/metrics" else ())}
        assert {name: value for name, value in head.headers.items() if name not in changing} == {
            name: value for name, value in get.headers.items() if name not in changing
        }
    assert head.content == b""
    assert client.head(f"{url}0/nothing").status_code == 404  # over the same connection


def test_head_opens_no_stream(client: httpx.Client, session: Session) -> None:
    def listeners() -> set[str]:
        return set(re.findall("^checkout_stream_listeners (.+)$", client.get("/metrics").text, re.M))

    url = f"/api/products/{session.create_product(stock=1)}/stock/stream"
    eventually(lambda: listeners() <= {"0.0"})  # until those of other tests have ended
    assert client.head(url).headers["Content-Type"] == "text/event-stream"
    assert listeners() <= {"0.0"}
    assert client.head("/api/products/999999/stock/stream").status_code == 404


@pytest.mark.parametrize("path", ["/api/products/1", "/api/products", HOLDS, f"{HOLDS}/1", WEBHOOK, "/readyz", "/nope"])
def test_an_unusual_method_is_no_server_error(client: httpx.Client, path: str) -> None:
    for method in ("OPTIONS", "TRACE", "BREW"):
        response = client.request(method, path)
        assert response.status_code < 500
        assert_common_headers(response)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "text/xml, */*;q=0.1", "nonsense", ""])
def test_errors_are_problem_documents_whatever_the_client_accepts(client: httpx.Client, accept: str) -> None:
    headers = {"Accept": accept}
    assert_problem(client.get("/api/products/abc", headers=headers), 404, "product_not_found", 30101)
    assert_problem(client.get("/nope", headers=headers), 404, "not_found", None)
    assert_problem(client.put(HOLDS, headers=headers), 405, "method_not_allowed", None)
    assert_problem(client.post(HOLDS, content=b"{", headers=headers), 400, "invalid_request", 30001)


@pytest.mark.parametrize("path", ["/api/products/abc", "/healthz", "/nope"])
def test_a_response_has_the_request_id_of_its_request(client: httpx.Client, path: str) -> None:
    assert client.get(path, headers={"X-Request-Id": "0f/ID:42"}).headers["X-Request-Id"] == "0f/ID:42"


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, "ümlaut", "tab\there"])
def test_a_request_without_a_valid_id_gets_a_new_one(client: httpx.Client, given: str | None) -> None:
    headers = {} if given is None else {b"X-Request-Id": given.encode()}
    ids = {client.get("/healthz", headers=headers).headers["X-Request-Id"] for _ in repeat(None, 3)}
    assert len(ids) == 3
    assert given not in ids


@pytest.fixture
def raw(service: Service) -> Iterator[socket.socket]:
    """A TCP connection to the service."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    """All bytes until the service closes the connection."""
    text = b""
    try:
        while part := connection.recv(65536):
            text += part
    except ConnectionResetError:
        pass
    return text


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\rX: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/holds HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/holds HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: x\r\n" * 64 + b"\r\n",
    ],
    ids=[
        *("nonsense", "version", "length", "header", "line break", "two lengths", "chunk"),
        *("transfer coding", "no host", "two hosts", "tunnel"),
        *("long path", "long header", "many headers"),
    ],
)
def test_invalid_http_fails_only_its_own_connection(client: httpx.Client, raw: socket.socket, text: bytes) -> None:
    raw.sendall(text)
    raw.shutdown(socket.SHUT_WR)
    head, _, document = received(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\ncache-control: no-store\r\nx-request-id: " in head
    assert json.loads(document)["code"] == "invalid_request"
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("sent", [b"", b'{"product_id": 1'])
def test_a_client_that_disconnects_within_its_body_disturbs_no_other(
    client: httpx.Client, raw: socket.socket, sent: bytes
) -> None:
    raw.sendall(b"POST /api/holds HTTP/1.1\r\nHost: x\r\nContent-Length: 33\r\n\r\n" + sent)
    raw.close()
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", [HOLDS, "/nope", "/healthz"])
def test_the_rest_of_a_refused_body_is_not_read_as_the_next_request(raw: socket.socket, path: str) -> None:
    hidden = b"GET /api/products/abc HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b" " * (BODY_LIMIT + 100) + hidden
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    last = b"GET /api/orders/abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    raw.sendall(head + body + last)
    answer = received(raw)
    assert answer.count(b"HTTP/1.1 ") in {1, 2}
    assert b"product_not_found" not in answer


def test_garbage_behind_requests_leaves_their_responses(raw: socket.socket) -> None:
    raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"\x16\x03\x01\r\n" * 100)
    assert received(raw).count(b'{"status":"ok"}') == 3


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.0\r\n",
        b"GET /healthz HTTP/1.1\r\nConnection: close\r\n",
    ],
    ids=["HTTP/1.0", "close"],
)
def test_the_connection_ends_with_the_response_to_a_request_that_says_so(raw: socket.socket, head: bytes) -> None:
    raw.sendall(head + b"Host: x\r\n\r\n")
    answer = received(raw)
    assert answer.endswith(b'{"status":"ok"}')
    assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize(
    "framing", ["Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]
)
def test_a_request_that_offers_another_protocol_is_answered_with_its_body(raw: socket.socket, framing: str) -> None:
    offer = "Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    raw.sendall(f"POST /api/holds HTTP/1.1\r\n{offer}{framing}{last}".encode())
    answer = received(raw)
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert answer.endswith(b'{"status":"ok"}')


@pytest.mark.parametrize(("url", "status"), [(b"http://x/healthz?a=b", b"200"), (b"http://x", b"404")])
def test_a_url_may_name_the_host(raw: socket.socket, url: bytes, status: bytes) -> None:
    raw.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % url)
    assert received(raw).startswith(b"HTTP/1.1 %b " % status)


def test_a_client_that_expects_it_is_told_to_send_its_body_after_the_responses_before(raw: socket.socket) -> None:
    healthz = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    expect = b"POST /api/holds HTTP/1.%d\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    raw.sendall(healthz + expect % 1)
    told = b'{"status":"ok"}HTTP/1.1 100 Continue\r\n\r\n'
    text = b""
    while not text.endswith(told):
        part = raw.recv(65536)
        assert part
        text += part
    raw.sendall(b"{}" + expect % 0 + b"{}")
    assert re.findall(rb"HTTP/1\.1 \d+", received(raw)) == [b"HTTP/1.1 422"] * 2
