"""Requests that are not as they should be: every row of the error table, and what holds for every answer."""

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
    eventually,
    hold_request,
    order_request,
    payment_request,
)
from tests.support import Session

HOLDS, ORDERS, WEBHOOK = "/api/holds", "/api/orders", "/api/payments/webhook"
BODIES: dict[str, dict[str, Any]] = {
    HOLDS: {"product_id": 1, "quantity": 1},
    ORDERS: {"hold_id": 1},
    WEBHOOK: {"idempotency_key": "a key", "order_id": 1, "status": "success"},
}
TAKES_KEY = (HOLDS, ORDERS)
BODY_LIMIT = 16 * 1024


def assert_key_comes_back(response: httpx.Response, path: str) -> None:
    """Check that an answer to a POST that takes a key names one."""
    if path in TAKES_KEY:
        assert response.headers["Idempotency-Key"]


def padded(path: str, length: int) -> bytes:
    """A valid body of this many bytes."""
    text = json.dumps({**BODIES[path], "padding": ""}).encode()
    return text[:-2] + b"x" * (length - len(text)) + text[-2:]


def with_member(path: str, member: bytes) -> bytes:
    """A valid body with one more member, as it stands."""
    return json.dumps(BODIES[path]).encode()[:-1] + b', "more": ' + member + b"}"


@pytest.mark.parametrize("bomb", [b"[" * 8000 + b"]" * 8000, b'{"a":' * 2600 + b"1" + b"}" * 2600], ids=["[", "{"])
@pytest.mark.parametrize("path", BODIES)
def test_json_too_deep_is_refused(client: httpx.Client, path: str, bomb: bytes) -> None:
    for body in (bomb, with_member(path, bomb)):
        response = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert_problem(response, 400, "invalid_request", 30001)


def test_json_that_is_wide_or_says_a_name_twice_is_read_like_any_other(
    service: Service, client: httpx.Client, session: Session
) -> None:
    """The last one counts, for the stock, the log and the replay alike."""
    product_id = session.create_product(stock=10)
    wide = ",".join(f'"{number}":{number}' for number in range(1200))
    body = f'{{"quantity":9,"product_id":{product_id},{wide},"quantity":2}}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"twice {product_id}"}
    first, again = (client.post(HOLDS, content=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert session.available(product_id) == 8
    assert len(service.events("hold_created", product_id=product_id, quantity=2)) == 2


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"not JSON",
        b"{'hold_id': 1}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"hold_id": 1} trailing',
        b'{"hold_id": 1,}',
        b'{"product_id": NaN, "quantity": 1, "hold_id": NaN, "order_id": NaN}',
        b'{"product_id": Infinity, "quantity": 1, "hold_id": -Infinity, "order_id": Infinity}',
        b"[" * 8000,
        b"product_id=1&quantity=1",
    ],
)
def test_what_is_not_json_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, 400, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "member",
    [
        b"NaN",
        b"Infinity",
        b"01",
        b"1.",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        b'"\x01"',
        b"tru",
        b'"open',
        b"[" * 4000 + b"]" * 4000,
    ],
    ids=[
        "NaN",
        "Infinity",
        "leading zero",
        "no decimals",
        "bad UTF-8",
        "surrogate",
        "overlong",
        "control",
        "half a word",
        "open string",
        "nested too deep",
    ],
)
def test_what_is_not_json_is_refused_in_an_ignored_member_too(client: httpx.Client, path: str, member: bytes) -> None:
    response = client.post(path, content=with_member(path, member), headers={"Content-Type": "application/json"})
    assert_problem(response, 400, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("coding", "status"), [("gzip", 415), ("br, identity", 415), ("identity", 422), ("Identity", 422)]
)
def test_a_body_with_a_content_coding_is_refused(client: httpx.Client, path: str, coding: str, status: int) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    response = client.post(path, content=gzip.compress(b"{}") if coding == "gzip" else b"{}", headers=headers)
    assert_problem(response, status, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"1", b"true", b"{}"])
def test_json_that_is_no_request_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, 422, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize(("path", "member"), [(path, member) for path, body in BODIES.items() for member in body])
@pytest.mark.parametrize(
    "value",
    [True, None, 1.5, [], {}, 10**30, -(10**30), 2**63, "missing"],
    ids=["true", "null", "fraction", "array", "object", "10**30", "-10**30", "2**63", "missing"],
)
def test_a_member_of_the_wrong_type_is_refused(client: httpx.Client, path: str, member: str, value: Any) -> None:
    body = {name: given for name, given in BODIES[path].items() if name != member or value != "missing"}
    if value != "missing":
        body[member] = value
    response = client.post(path, json=body)
    assert_problem(response, 422, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize(
    ("path", "member", "value"),
    [
        (HOLDS, "product_id", "1"),
        (HOLDS, "quantity", "2"),
        (HOLDS, "quantity", 0),
        (HOLDS, "quantity", -1),
        (HOLDS, "quantity", -(2**63)),
        (HOLDS, "quantity", 1_000_001),
        (HOLDS, "quantity", 10**9),
        (HOLDS, "quantity", 2**63 - 1),
        (ORDERS, "hold_id", "1"),
        (WEBHOOK, "order_id", "0"),
        (WEBHOOK, "order_id", "-1"),
        (WEBHOOK, "order_id", "1.0"),
        (WEBHOOK, "order_id", " 1"),
        (WEBHOOK, "order_id", "1\n"),
        (WEBHOOK, "order_id", "\u0661"),
        (WEBHOOK, "order_id", ""),
        (WEBHOOK, "order_id", "9" * 19),
        (WEBHOOK, "order_id", 0),
        (WEBHOOK, "order_id", -1),
        (WEBHOOK, "idempotency_key", ""),
        (WEBHOOK, "idempotency_key", 7),
        (WEBHOOK, "idempotency_key", "k" * 256),
        (WEBHOOK, "idempotency_key", "ä" * 128),
        (WEBHOOK, "status", ""),
        (WEBHOOK, "status", "paid"),
        (WEBHOOK, "status", "SUCCESS"),
        (WEBHOOK, "status", "success "),
        (WEBHOOK, "status", "x" * 10_000),
        (WEBHOOK, "payment_id", 7),
        (WEBHOOK, "payment_id", ""),
        (WEBHOOK, "payment_id", "ä" * 128),
        (WEBHOOK, "amount", True),
        (WEBHOOK, "amount", []),
        (WEBHOOK, "amount", {}),
        (WEBHOOK, "amount", -1),
        (WEBHOOK, "amount", 1.001),
        (WEBHOOK, "amount", 10**18),
        (WEBHOOK, "amount", 10**400),
        (WEBHOOK, "amount", "1_0"),
        (WEBHOOK, "amount", " 1"),
        (WEBHOOK, "amount", "NaN"),
    ],
)
def test_a_value_out_of_its_range_is_refused(client: httpx.Client, path: str, member: str, value: Any) -> None:
    response = client.post(path, json={**BODIES[path], member: value})
    assert_problem(response, 422, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize(
    ("written", "status"), [("2.0", 201), ("2e0", 201), ("20.0e-1", 201), ("1.5", 422), ("1e999999999", 422)]
)
def test_a_number_without_a_fraction_is_an_integer(
    client: httpx.Client, session: Session, written: str, status: int
) -> None:
    product_id = session.create_product(stock=2)
    body = f'{{"product_id": {product_id}, "quantity": {written}}}'
    answer = client.post(HOLDS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert session.available(product_id) == (0 if status == 201 else 2)


def test_an_integer_keeps_its_digits_when_it_is_written_with_a_point(client: httpx.Client) -> None:
    body = '{"idempotency_key": "exact", "order_id": 9007199254740993.0, "status": "success"}'
    answer = client.post(WEBHOOK, content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["order_id"] == 9007199254740993


@pytest.mark.parametrize("product_id", [0, -1, -(2**63), 2**63 - 1])
def test_a_product_id_that_no_product_can_have_holds_nothing(client: httpx.Client, product_id: int) -> None:
    response = client.request(**hold_request(product_id))
    assert (response.status_code, response.json()["errno"]) in {(404, 30101), (422, 30001)}


@pytest.mark.parametrize("hold_id", [0, -1, -(2**63), 2**63 - 1])
def test_a_hold_id_that_no_hold_can_have_orders_nothing(client: httpx.Client, hold_id: int) -> None:
    response = client.request(**order_request(hold_id))
    assert (response.status_code, response.json()["errno"]) in {(404, 30201), (422, 30001)}


@pytest.mark.parametrize("path", TAKES_KEY)
@pytest.mark.parametrize(
    "key",
    [b"", b"k" * 256, b"k" * 300, "ä".encode() * 128, b"\xff\xfe", b"\xed\xa0\x80"],
    ids=["empty", "256 bytes", "300 bytes", "128 characters of 2 bytes", "bad UTF-8", "surrogate"],
)
def test_a_key_that_is_none_is_refused(client: httpx.Client, path: str, key: bytes) -> None:
    response = client.post(path, json=BODIES[path], headers={b"Idempotency-Key": key})
    assert_problem(response, 422, "invalid_request", 30001)
    assert "Idempotency-Key" in response.headers


@pytest.mark.parametrize("path", TAKES_KEY)
@pytest.mark.parametrize("second", [b"a", b"b"])
def test_two_keys_are_refused(client: httpx.Client, path: str, second: bytes) -> None:
    headers = [(b"Idempotency-Key", b"a"), (b"Idempotency-Key", second)]
    assert_problem(client.post(path, json=BODIES[path], headers=headers), 422, "invalid_request", 30001)


def test_a_key_may_contain_a_comma(client: httpx.Client, session: Session) -> None:
    request = hold_request(session.create_product(stock=1), key="a,b")
    assert client.request(**request).headers["Idempotency-Key"] == "a,b"


def test_one_bad_request_spoils_no_other_of_its_batch(service: Service, session: Session) -> None:
    product_id = session.create_product(stock=100)
    good, bad = hold_request(product_id), hold_request(product_id, key="k" * 256)
    answers = service.at_once([good, bad] * 50)
    assert {answer.status_code for answer in answers[::2]} == {201}
    assert {answer.status_code for answer in answers[1::2]} == {422}
    assert session.available(product_id) == 50


def test_unknown_members_are_ignored(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    more = {"is_generated_key": True, "idempotency_key": "not here", "extra": [{"x": None}]}
    hold = client.post(HOLDS, json={"product_id": product_id, "quantity": 1, **more})
    assert hold.status_code == 201
    order = client.post(ORDERS, json={"hold_id": hold.json()["hold_id"], **more})
    assert order.status_code == 201
    event = {"idempotency_key": "unknown members", "order_id": order.json()["order_id"], "status": "success"}
    assert client.post(WEBHOOK, json={"extra": {}, **event}).status_code == 200


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"])
def test_another_media_type_is_refused(client: httpx.Client, path: str, media_type: str) -> None:
    response = client.post(path, content=json.dumps(BODIES[path]), headers={"Content-Type": media_type})
    assert_problem(response, 415, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_json_is_recognised_however_it_is_spelt(client: httpx.Client, session: Session, media_type: str) -> None:
    body = json.dumps({"product_id": session.create_product(stock=5), "quantity": 1})
    response = client.post(HOLDS, content=body, headers={"Content-Type": media_type})
    assert response.status_code == 201


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["with its length", "in chunks"])
@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 17 * 1024, 1_000_000])
def test_a_body_over_16_kib_is_refused(client: httpx.Client, path: str, is_chunked: bool, length: int) -> None:
    body = padded(path, length)
    chunks: Any = (body[start : start + 1000] for start in range(0, length, 1000)) if is_chunked else body
    try:
        response = client.post(path, content=chunks, headers={"Content-Type": "application/json"})
    except (httpx.WriteError, httpx.ReadError):
        # The server may close before it has read all that it does not want.
        assert length == 1_000_000
        return
    assert_problem(response, 413, "invalid_request", 30001)
    assert_key_comes_back(response, path)


@pytest.mark.parametrize("path", BODIES)
def test_a_body_of_exactly_16_kib_is_read(client: httpx.Client, path: str) -> None:
    response = client.post(path, content=padded(path, BODY_LIMIT), headers={"Content-Type": "application/json"})
    assert response.status_code in {200, 201, 202, 404, 409}


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/api", "/api/", "/api/holds/1/2", "/api/orders/1/refund", "/API/holds"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(client: httpx.Client, method: str, path: str) -> None:
    assert_problem(client.request(method, path), 404, "not_found", None)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", HOLDS, {"POST"}),
        ("GET", HOLDS, {"POST"}),
        ("POST", f"{HOLDS}/1", {"GET", "DELETE"}),
        ("GET", ORDERS, {"POST"}),
        ("DELETE", f"{ORDERS}/1", {"GET"}),
        ("GET", f"{ORDERS}/1/cancel", {"POST"}),
        ("GET", WEBHOOK, {"POST"}),
        ("POST", "/api/products", {"GET"}),
        ("PATCH", "/api/products/1", {"GET"}),
        ("POST", "/healthz", {"GET"}),
        ("POST", "/readyz", {"GET"}),
    ],
)
def test_another_method_is_not_allowed(client: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, "method_not_allowed", None)
    assert set(response.headers["Allow"].split(", ")) - {"OPTIONS", "HEAD"} == allowed


@pytest.mark.parametrize("path", ["/api/products/", f"{HOLDS}/", f"{ORDERS}/", f"{WEBHOOK}/", "/readyz/", "/docs/"])
def test_a_trailing_slash_changes_nothing(client: httpx.Client, path: str) -> None:
    method = "POST" if path.strip("/") in {known.strip("/") for known in BODIES} else "GET"
    assert client.request(method, path).status_code == client.request(method, path.rstrip("/")).status_code != 405


@pytest.mark.parametrize("path", [path for path, operations in PATHS.items() if "get" in operations])
def test_head_is_answered_as_get_without_its_content(
    client: httpx.Client, session: Session, shop: Shop, path: str
) -> None:
    order_id = shop.ordered(session.create_product(stock=1))
    hold_id = session.query("SELECT hold_id FROM orders WHERE id = %s", order_id)[0]["hold_id"]
    product_id = session.query("SELECT product_id FROM orders WHERE id = %s", order_id)[0]["product_id"]
    url = path.format(product_id=product_id, hold_id=hold_id, order_id=order_id, name="swagger-ui.css")
    head = client.head(url)
    with client.stream("GET", url) as get:
        assert head.status_code == get.status_code == 200
        # Transfer-Encoding is of the content; what /metrics shows differs from one request to the next.
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
    eventually(lambda: listeners() <= {"0.0"})  # those of other tests are gone
    assert client.head(url).headers["Content-Type"] == "text/event-stream"
    assert listeners() <= {"0.0"}
    assert client.head("/api/products/999999/stock/stream").status_code == 404


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/api/products/1", "/api/products", HOLDS, f"{HOLDS}/1", WEBHOOK, "/readyz", "/nope"])
def test_unusual_methods_do_no_harm(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path)
    assert response.status_code < 500
    assert_common_headers(response)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "text/xml, */*;q=0.1", "nonsense", ""])
def test_errors_are_problem_documents_whatever_is_accepted(client: httpx.Client, accept: str) -> None:
    headers = {"Accept": accept}
    assert_problem(client.get("/api/products/abc", headers=headers), 404, "product_not_found", 30101)
    assert_problem(client.get("/nope", headers=headers), 404, "not_found", None)
    assert_problem(client.put(HOLDS, headers=headers), 405, "method_not_allowed", None)
    assert_problem(client.post(HOLDS, content=b"{", headers=headers), 400, "invalid_request", 30001)


@pytest.mark.parametrize("path", ["/api/products/abc", "/healthz", "/nope"])
def test_a_request_id_comes_back(client: httpx.Client, path: str) -> None:
    assert client.get(path, headers={"X-Request-Id": "0f/ID:42"}).headers["X-Request-Id"] == "0f/ID:42"


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, "ümlaut", "tab\there"])
def test_a_request_without_a_usable_id_gets_a_new_one(client: httpx.Client, given: str | None) -> None:
    headers = {} if given is None else {b"X-Request-Id": given.encode()}
    ids = {client.get("/healthz", headers=headers).headers["X-Request-Id"] for _ in repeat(None, 3)}
    assert len(ids) == 3
    assert given not in ids


def assert_refused_without_an_effect(client: httpx.Client, session: Session, request: dict[str, Any]) -> None:
    """Check that a request is refused, and that no table differs afterwards."""
    tables = ("products", "stock", "holds", "orders", "payment_events", "idempotency_keys")
    before = [session.query(f"CHECKSUM TABLE {table}") for table in tables]
    assert client.request(**request).status_code >= 400
    assert [session.query(f"CHECKSUM TABLE {table}") for table in tables] == before


def test_a_refusal_changes_nothing(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=1)
    order_id = shop.ordered(product_id)
    shop.pay("a refusal changes nothing", order_id)
    hold_id = client.get(f"/api/orders/{order_id}").json()["hold_id"]
    for request in (
        hold_request(product_id, key="refused"),
        hold_request(product_id, 0),
        hold_request(product_id + 1),
        order_request(hold_id, key="refused"),
        order_request(hold_id + 1000),
        payment_request("", order_id),
        payment_request("a refusal changes nothing", order_id, "failure"),
        {"method": "DELETE", "url": f"/api/holds/{hold_id}"},
        {"method": "POST", "url": f"/api/orders/{order_id}/cancel"},
    ):
        assert_refused_without_an_effect(client, session, request)


@pytest.fixture
def raw(service: Service) -> Iterator[socket.socket]:
    """A bare connection to the service."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
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
        b"POST /api/holds HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nonsense", "version", "length", "header", "chunk", "long path", "long header"],
)
def test_what_is_not_http_harms_only_its_own_connection(client: httpx.Client, raw: socket.socket, text: bytes) -> None:
    raw.sendall(text)
    raw.shutdown(socket.SHUT_WR)
    answer = received(raw)
    assert answer == b"" or b" 4" in answer.partition(b"\r\n")[0]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("sent", [b"", b'{"product_id": 1'])
def test_a_client_that_leaves_within_its_body_harms_nobody(
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
