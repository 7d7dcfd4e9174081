"""Faults between the service and MySQL, one request at a time. tests/faults has them under load."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from stack.process import Server
from tests.http.proxy import Loss, Proxy, proxy_of
from tests.http.support import Service, Shop, assert_problem, hold_request, order_request, payment_request
from tests.support import Session, eventually, is_waited_for

LOSSES = [Loss.CONNECTION, Loss.ANSWER]


@pytest.fixture(scope="module")
def proxy(app_url: str) -> Iterator[Proxy]:
    """A proxy between a service and MySQL."""
    with proxy_of(app_url) as running:
        yield running


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service whose requests may wait for a lock for a second and still be answered by a slow machine."""
    return start_service(REQUEST_DEADLINE_S="4")


@pytest.fixture(scope="module")
def distant_service(start_service: Callable[..., Service], proxy: Proxy) -> Service:
    """A service that reaches MySQL through the proxy, over TLS."""
    return start_service(mysql_url=proxy.url, WEB_CONCURRENCY="1")


@pytest.fixture
def distant_client(distant_service: Service) -> Iterator[httpx.Client]:
    """A client of that service."""
    with distant_service.client() as client:
        yield client


@pytest.fixture
def distant_shop(distant_client: httpx.Client) -> Shop:
    """The same client with a shop's operations."""
    return Shop(distant_client)


def new_key() -> str:
    """A key that was never used."""
    return str(uuid.uuid4())


def count(session: Session, table: str) -> int:
    """The rows of a table."""
    return int(session.query(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("key", [None, "the client's"])
def test_a_hold_is_created_once_when_mysql_s_answer_is_lost(
    distant_service: Service, session: Session, proxy: Proxy, loss: Loss, key: str | None
) -> None:
    product_id = session.create_product(stock=5)
    with distant_service.client() as client:
        Shop(client).hold(product_id)
        holds, retries = count(session, "holds"), len(distant_service.events("call_retry"))
        proxy.lose_next(loss)
        response = client.request(**hold_request(product_id, 2, key and new_key()))
    assert response.status_code == 201
    assert count(session, "holds") == holds + 1
    assert session.available(product_id) == 2
    assert len(distant_service.events("call_retry")) == retries + 1


@pytest.mark.parametrize("loss", LOSSES)
def test_an_order_is_created_once_when_mysql_s_answer_is_lost(
    distant_client: httpx.Client, distant_shop: Shop, session: Session, proxy: Proxy, loss: Loss
) -> None:
    product_id = session.create_product(stock=5)
    distant_shop.ordered(product_id)
    hold_id = distant_shop.hold(product_id)
    orders = count(session, "orders")
    proxy.lose_next(loss)
    response = distant_client.request(**order_request(hold_id))
    assert (response.status_code, response.json()["hold_id"]) == (201, hold_id)
    assert count(session, "orders") == orders + 1


@pytest.mark.parametrize("loss", LOSSES)
def test_every_other_call_takes_effect_once_when_mysql_s_answer_is_lost(
    distant_client: httpx.Client, distant_shop: Shop, session: Session, proxy: Proxy, loss: Loss
) -> None:
    product_id = session.create_product(stock=9)
    released = distant_shop.hold(product_id)
    paid, failed, cancelled = (distant_shop.ordered(product_id) for _ in range(3))
    requests: list[tuple[dict[str, Any], int, Any]] = [
        ({"method": "DELETE", "url": f"/api/holds/{released}"}, 204, None),
        (payment_request(new_key(), paid, "success"), 200, "paid"),
        (payment_request(new_key(), failed, "failure"), 200, "cancelled"),
        ({"method": "POST", "url": f"/api/orders/{cancelled}/cancel"}, 200, "cancelled"),
        ({"method": "GET", "url": f"/api/orders/{paid}"}, 200, "paid"),
        ({"method": "GET", "url": "/api/products"}, 200, None),
    ]
    for request, status, final in requests:
        distant_client.request(**request)  # opens the connection of this procedure
        losses = proxy.losses
        proxy.lose_next(loss)
        response = distant_client.request(**request)
        assert response.status_code == status
        assert proxy.losses == losses + 1
        if final:
            assert response.json()["status"] == final
    assert session.available(product_id) == 8


def test_a_silent_connection_fails_one_request_and_is_replaced(
    distant_client: httpx.Client, distant_shop: Shop, session: Session, proxy: Proxy
) -> None:
    product_id = session.create_product(stock=5)
    distant_shop.hold(product_id)
    request = hold_request(product_id, 1, new_key())
    proxy.lose_next(Loss.FUTURE)
    response = distant_client.request(**request)
    assert_problem(response, 503, "overloaded", None)
    assert response.headers["Retry-After"]
    assert eventually(lambda: distant_client.request(**request).status_code == 201)
    assert session.available(product_id) == 3


class Crowd:
    """Clients that send requests until the block ends."""

    def __init__(self, service: Service, requests: Callable[[], dict[str, Any]], clients: int = 8) -> None:
        self._service = service
        self._requests = requests
        self._clients = clients
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._tasks: list[Future[list[httpx.Response]]] = []

    def __enter__(self) -> "Crowd":
        self._tasks = [self._pool.submit(self._go_on) for _ in range(self._clients)]
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._pool.shutdown()

    def answers(self) -> list[httpx.Response]:
        """The responses; available after the block."""
        return [answer for task in self._tasks for answer in task.result()]

    def _go_on(self) -> list[httpx.Response]:
        answers = []
        with self._service.client() as client:
            while not self._is_over.is_set():
                answers.append(client.request(**self._requests()))
        return answers


def test_a_dba_s_lock_on_one_product_delays_only_that_product(
    service: Service, client: httpx.Client, connect: Callable[[], Session]
) -> None:
    dba, session = connect(), connect()
    locked_id, other_id = session.create_product(stock=100_000), session.create_product(stock=100)
    dba.execute("START TRANSACTION")
    dba.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", locked_id)
    with Crowd(service, lambda: hold_request(locked_id)) as crowd:
        eventually(lambda: is_waited_for(session, dba))
        others = [client.request(**hold_request(other_id)) for _ in range(5)]
        dba.execute("COMMIT")
        settled = client.request(**hold_request(locked_id))
    assert [other.status_code for other in others] == [201] * 5
    assert settled.status_code == 201
    assert {answer.status_code for answer in crowd.answers()} <= {201, 503}


def test_a_full_queue_is_503_at_once_and_queued_requests_are_answered(
    start_service: Callable[..., Service], connect: Callable[[], Session]
) -> None:
    """One request is in flight and waits for a DBA's lock; of ten more, two have a place in the queue."""
    service = start_service(WEB_CONCURRENCY="1", QUEUE_LIMIT="2")
    dba, session = connect(), connect()
    product_id = session.create_product(stock=100)
    dba.execute("START TRANSACTION")
    dba.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)

    def hold() -> httpx.Response:
        with service.client() as client:
            return client.request(**hold_request(product_id))

    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(hold)
        eventually(lambda: is_waited_for(session, dba))
        crowd = [pool.submit(hold) for _ in range(10)]
        eventually(lambda: sum(answer.done() for answer in crowd) >= 8)
        dba.execute("COMMIT")
        answers = [answer.result() for answer in (first, *crowd)]
    assert {answer.status_code for answer in answers} <= {201, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) >= 8
    for answer in refused:
        assert_problem(answer, 503, "overloaded", None)
        assert answer.headers["Retry-After"]
        assert answer.headers["Idempotency-Key"]
    assert session.available(product_id) == 100 - (len(answers) - len(refused))


def test_requests_are_503_while_mysql_is_frozen_and_succeed_when_they_are_repeated(
    service: Service, client: httpx.Client, session: Session, shop: Shop, mysql_server: Server
) -> None:
    product_id = session.create_product(stock=5)
    hold_id = shop.hold(product_id)
    requests = [
        hold_request(product_id, 1, new_key()),
        order_request(hold_id, new_key()),
        hold_request(product_id),
    ]
    mysql_server.pause()
    *answers, readiness = service.at_once([*requests, {"method": "GET", "url": "/readyz"}])
    for answer in answers:
        assert_problem(answer, 503, "overloaded", None)
        assert answer.headers["Retry-After"]
    assert [answer.headers["Idempotency-Key"] for answer in answers[:2]] == [
        request["headers"]["Idempotency-Key"] for request in requests[:2]
    ]
    assert (readiness.status_code, readiness.json()["missing"]) == (503, "mysql")
    assert client.get("/healthz").status_code == 200
    mysql_server.resume()
    requests[2]["headers"]["Idempotency-Key"] = answers[2].headers["Idempotency-Key"]
    for request in requests:
        eventually(lambda: client.request(**request).status_code == 201)  # noqa: B023 called in this turn
    assert client.get("/readyz").status_code == 200
    assert session.available(product_id) == 2
