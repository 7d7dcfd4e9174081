"""Requests beyond the queue limit and requests past their deadline are refused at once."""

import os
import select
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

import httpx
import pytest

from stack.servers import Servers
from tests.http.support import Service, hold_request
from tests.support import NOBODYS_ID, PATIENCE_S, Session, eventually

QUEUE, DEADLINE_S = 8, 1
PROMISE_MS = 50
NEWCOMERS = 300
ROUNDS = 10  # of which one must be fast enough, because other programs may delay the others
# The product does not exist, so that calls that MySQL executes later take no unit.
HOLD = b'{"product_id":%d,"quantity":1}' % NOBODYS_ID
REQUEST = b"POST /api/holds HTTP/1.1\r\nHost: checkout\r\nContent-Length: %d\r\n\r\n%s" % (len(HOLD), HOLD)


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with a short queue and a short deadline."""
    limits = {"QUEUE_LIMIT": str(QUEUE), "BATCH_LIMIT": "1", "REQUEST_DEADLINE_S": str(DEADLINE_S)}
    return start_service(WEB_CONCURRENCY="1", **limits)


@pytest.fixture
def frozen_mysql(servers: Servers) -> Iterator[None]:
    """MySQL accepts connections and statements but answers none."""
    servers.mysql.pause()
    yield
    servers.mysql.resume()


@contextmanager
def connected(service: Service, number: int) -> Iterator[list[socket.socket]]:
    """So many TCP connections to the service, without an HTTP client, whose own time would count."""
    url = httpx.URL(service.url)
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(socket.create_connection((url.host, url.port or 80), PATIENCE_S)))
            for _ in range(number)
        ]


@pytest.fixture
def clients(service: Service) -> Iterator[list[socket.socket]]:
    """More connections than the queue has places."""
    with connected(service, 3 * QUEUE) as connections:
        yield connections


@pytest.fixture
def frozen_worker(service: Service) -> Iterator[None]:
    """The only worker is stopped (SIGSTOP) during the test."""
    (worker,) = service.workers()
    os.kill(worker, signal.SIGSTOP)
    yield
    os.kill(worker, signal.SIGCONT)


def ask_all(clients: Sequence[socket.socket]) -> list[float]:
    """Send a hold from each client; returns the seconds until each response, which must be 503."""
    asked_at, waited_s = {}, []
    for client in clients:
        asked_at[client] = time.monotonic()
        client.sendall(REQUEST)
    while asked_at:
        for client in select.select(list(asked_at), [], [], PATIENCE_S)[0]:
            waited_s.append(time.monotonic() - asked_at.pop(client))
            answer = client.recv(65536).lower()
            assert answer.startswith(b"http/1.1 503 ")
            for part in (b"\r\nretry-after: ", b"\r\nidempotency-key: ", b'"code":"overloaded"'):
                assert part in answer
    return waited_s


@pytest.mark.usefixtures("session", "frozen_mysql")
def test_a_full_queue_and_a_passed_deadline_are_answered_within_50_ms(clients: list[socket.socket]) -> None:
    for _ in range(ROUNDS):
        waited_s = ask_all(clients)
        late_ms = [(seconds - DEADLINE_S) * 1000 for seconds in waited_s if seconds > 0.9 * DEADLINE_S]
        at_once_ms = [seconds * 1000 for seconds in waited_s if seconds <= 0.9 * DEADLINE_S]
        assert QUEUE <= len(late_ms) <= QUEUE + 1  # one more may be in flight
        assert min(late_ms) > 0
        after_deadline_ms, full_ms = statistics.median(late_ms), statistics.median(at_once_ms)
        if max(after_deadline_ms, full_ms) < PROMISE_MS:
            return
    pytest.fail(f"{after_deadline_ms:.0f} ms after the deadline, {full_ms:.0f} ms where the queue was full")


def test_the_service_accepts_requests_again_afterwards(service: Service, session: Session) -> None:
    hold = hold_request(session.create_product(stock=1), key="after the pause")
    with service.client() as client:
        eventually(lambda: client.request(**hold).status_code == 201)


@pytest.mark.usefixtures("frozen_worker")
def test_hundreds_of_connections_wait_in_the_accept_queue_of_a_frozen_worker(service: Service) -> None:
    """The kernel drops a connection that finds the accept queue full; its client tries again a second later."""
    with connected(service, NEWCOMERS) as connections:
        assert len(connections) == NEWCOMERS
