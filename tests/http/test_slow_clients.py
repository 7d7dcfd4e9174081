"""Slow and hostile clients: floods, half-sent requests, connections that do nothing."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bench.hostile_connections import HALF_A_BODY, HEADERS, ConnectionCounts, attack
from tests.http.support import Service, hold_request
from tests.support import PATIENCE_S, Session, eventually

BUYERS = 200
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: checkout\r\n\r\n"
REQUEST_OF_MUCH = REQUEST.replace(b"healthz", b"openapi.json")
FLOOD_BYTES = 64 << 20
FLOOD_MEMORY_MIB = 16  # far less than the flood
CROWD_MEMORY_MIB = 100  # about 7 KiB per connection, and a margin


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with one worker, which all clients share, and a deadline that a slow machine meets with all of them."""
    return start_service(WEB_CONCURRENCY="1", REQUEST_DEADLINE_S="10")


def connect_to(service: Service) -> socket.socket:
    url = httpx.URL(service.url)
    return socket.create_connection((url.host, url.port or 80), timeout=PATIENCE_S)


def assert_answered(client: socket.socket, number: int) -> None:
    """Read so many responses to REQUEST."""
    read = b""
    while read.count(b"HTTP/1.1 200 OK") < number or not read.endswith(b'{"status":"ok"}'):
        piece = client.recv(65536)
        assert piece, "cut off"
        read += piece


def worker_of(service: Service) -> int:
    """The process id of the service's only worker."""
    (worker,) = service.workers()
    return worker


def memory_mib(process_id: int) -> float:
    """The resident memory of a process."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def is_cut_off(client: socket.socket, step: bytes) -> bool:
    """Whether the service disconnects a client that keeps sending slowly."""
    deadline = time.monotonic() + PATIENCE_S
    client.settimeout(0.5)
    while time.monotonic() < deadline:
        try:
            client.sendall(step)
            if not client.recv(65536):
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def drip(service: Service, start: bytes, step: bytes) -> bool:
    with connect_to(service) as client:
        client.sendall(start)
        return is_cut_off(client, step)


def never_read(service: Service, _start: bytes, _step: bytes) -> bool:
    """Send requests without reading responses until the buffers are full; returns whether the service disconnects."""
    deadline = time.monotonic() + PATIENCE_S
    with connect_to(service) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        while time.monotonic() < deadline:
            try:
                client.sendall(REQUEST_OF_MUCH)
            except TimeoutError:
                continue
            except ConnectionError:
                return True
    return False


def send_on(service: Service, start: bytes, step: bytes) -> bool:
    """Send although the service has ended the connection; returns whether it disconnects."""
    deadline = time.monotonic() + PATIENCE_S
    with connect_to(service) as client:
        client.sendall(start)
        while time.monotonic() < deadline:
            try:
                client.sendall(step)
            except ConnectionError:
                return True
            time.sleep(0.5)
    return False


SLOW: dict[str, tuple[Callable[[Service, bytes, bytes], bool], bytes, bytes]] = {
    "stops halfway through its body": (drip, HALF_A_BODY, b""),
    "sends its body by bytes": (drip, HALF_A_BODY, b" "),
    "never reads": (never_read, b"", b""),
    "sends on after its request was refused": (send_on, b"no HTTP\r\n\r\n", b"x"),
}


@pytest.fixture(scope="module")
def resting(service: Service) -> Iterator[socket.socket]:
    """A client that has had a response and keeps its connection."""
    with connect_to(service) as client:
        client.sendall(REQUEST)
        assert_answered(client, 1)
        yield client


@pytest.fixture(scope="module")
def slow(service: Service) -> Iterator[dict[str, "Future[bool]"]]:
    """Slow clients of all kinds. They run beside the other tests of this file, because each takes seconds."""
    with ThreadPoolExecutor(len(SLOW)) as pool:
        yield {name: pool.submit(act, service, start, step) for name, (act, start, step) in SLOW.items()}


@pytest.mark.usefixtures("resting", "slow")
def test_buyers_are_served_beside_thousands_of_hostile_connections(service: Service, session: Session) -> None:
    product_id = session.create_product(stock=BUYERS)
    before_mib = memory_mib(worker_of(service))
    with attack(service.url, ConnectionCounts(silent=5_000, slow_headers=100, half_body=100, garbage=20)):
        answers = service.at_once([hold_request(product_id)] * (BUYERS + 1))
        grown_mib = memory_mib(worker_of(service)) - before_mib
    assert sorted(answer.status_code for answer in answers) == [201] * BUYERS + [409]
    assert session.available(product_id) == 0
    assert grown_mib < CROWD_MEMORY_MIB


@pytest.mark.usefixtures("resting", "slow")
@pytest.mark.parametrize(
    "flood",
    [
        pytest.param((b"", REQUEST), id="requests"),
        pytest.param((HEADERS, b"X-Padding: " + b"x" * 1000 + b"\r\n"), id="headers"),
        pytest.param((HEADERS + b"X-Padding: ", b"x"), id="a header"),
        pytest.param((b"GET /", b"x"), id="a path"),
        pytest.param((HEADERS + b"Content-Length: 9999999999\r\n\r\n", b" "), id="a body"),
        pytest.param((HEADERS + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"), id="chunks"),
        pytest.param((HEADERS + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"), id="a chunk's extension"),
        pytest.param((HEADERS + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"), id="trailers"),
        pytest.param((HALF_A_BODY + b" " * 79, REQUEST), id="requests behind one that waits"),
    ],
)
def test_a_flood_does_not_grow_the_worker_s_memory(service: Service, flood: tuple[bytes, bytes]) -> None:
    """The flood ends when all is sent, or when the service disconnects or stops reading."""
    start, more = flood
    worker = worker_of(service)
    before_mib, most_mib = memory_mib(worker), 0.0
    piece = more * (65536 // len(more))
    with connect_to(service) as client, suppress(TimeoutError, ConnectionError):
        client.settimeout(1)
        client.sendall(start)
        for _ in range(FLOOD_BYTES // len(piece)):
            client.sendall(piece)
            most_mib = max(most_mib, memory_mib(worker))
    assert most_mib - before_mib < FLOOD_MEMORY_MIB


def test_a_long_request_behind_pipelined_ones_is_answered(service: Service) -> None:
    header = b"X-Padding: " + b"x" * 8000 + b"\r\n"
    with connect_to(service) as client:
        client.sendall(REQUEST * 10 + REQUEST[:-2] + header * 30)
        assert_answered(client, 10)
        client.sendall(header * 30 + b"\r\n")
        assert_answered(client, 1)


def test_a_worker_without_free_connections_closes_silent_ones(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(WEB_CONCURRENCY="1", GUNICORN_CMD_ARGS="--worker-connections 4 --keep-alive 2")
    with connect_to(service) as silent, connect_to(service) as slow, connect_to(service), connect_to(service):
        slow.sendall(HEADERS + b"X-Padding: ")
        with connect_to(service) as one_too_many, suppress(ConnectionError):
            assert one_too_many.recv(1) == b""
        assert is_cut_off(silent, b"")
        assert is_cut_off(slow, b"x")
        eventually(service.answers)


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_client_is_disconnected(slow: dict[str, "Future[bool]"], name: str) -> None:
    assert slow[name].result()


def test_an_idle_keep_alive_connection_stays_open_for_longer(
    slow: dict[str, "Future[bool]"], resting: socket.socket
) -> None:
    assert slow["stops halfway through its body"].result()  # a client that connected later has been disconnected
    resting.sendall(REQUEST)
    assert_answered(resting, 1)
