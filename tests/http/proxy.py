"""A TCP proxy in front of MySQL or Redis that causes faults."""

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum, auto
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import parse_qs, urlsplit, urlunsplit

WAKE_INTERVAL_S = 0.02
OPENING_REQUESTS = 12  # more than a client sends to open a connection over TLS and to set its session


class Loss(Enum):
    """What happens to the next request of a client."""

    REQUEST = auto()  # both connections are reset before MySQL receives the request
    CONNECTION = auto()  # both connections are reset as soon as the request is passed on
    ANSWER = auto()  # both connections are closed when MySQL has executed the request and answers
    FUTURE = auto()  # nothing is passed on any more, and no connection is closed


class Proxy(ThreadingTCPServer):
    """Passes bytes on, also of TLS, until the next loss."""

    daemon_threads = True
    request_queue_size = 128  # a service opens its connections at once; beyond the default, 5, the kernel drops them

    def __init__(self, url: str) -> None:
        """Listen on a free port, for the server of a URL."""
        super().__init__(("127.0.0.1", 0), _Passage)
        self._target = urlsplit(url)
        self._next_loss: Loss | None = None
        self._spared = 0
        self._lock = threading.Lock()
        self._is_open = threading.Event()
        self._is_open.set()
        self.losses = 0
        self.latency_s = 0.0  # of every round trip

    @property
    def url(self) -> str:
        """The URL that leads through the proxy."""
        account = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{account}@127.0.0.1:{self.server_address[1]}", query=""))

    def lose_next(self, loss: Loss, *, spare_opening: bool = False) -> None:
        """Lose the next request; with `spare_opening` the next one on a connection that is completely open."""
        self._spared = OPENING_REQUESTS if spare_opening else 0
        self._next_loss = loss

    def take_loss(self, request_number: int) -> Loss | None:
        """The loss for a request, given its number on its connection, from 0."""
        with self._lock:
            if request_number < self._spared:
                return None
            loss, self._next_loss = self._next_loss, None
            self.losses += loss is not None
        return loss

    def lead_to(self, url: str) -> None:
        """Connect new clients to another server; open connections stay as they are."""
        self._target = urlsplit(url)

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Hold back bytes and new connections while the block runs; they arrive afterwards."""
        self._is_open.clear()
        try:
            yield
        finally:
            self._is_open.set()

    def wait_until_open(self) -> None:
        """Return at once, or when the black hole is over."""
        self._is_open.wait()

    def connect(self) -> socket.socket:
        """Return a new connection to the server itself."""
        path = parse_qs(self._target.query).get("unix_socket")
        if path:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path[0])
            return connection
        return socket.create_connection((self._target.hostname or "127.0.0.1", self._target.port or 3306))


class _Passage(BaseRequestHandler):
    """One client's connection and the one to the server behind it."""

    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        self.server.wait_until_open()
        with closing(self.server.connect()) as upstream, suppress(OSError):
            self._pass_on(self.request, upstream)

    def _pass_on(self, client: socket.socket, upstream: socket.socket) -> None:
        loss, requests = None, 0
        while True:
            for source in select.select([client, upstream], [], [])[0]:
                text = source.recv(65536)
                self.server.wait_until_open()
                if not text or (source is upstream and loss is Loss.ANSWER):
                    return
                if source is upstream:
                    client.sendall(text)
                    continue
                time.sleep(self.server.latency_s)
                loss = self.server.take_loss(requests)
                requests += 1
                if loss is Loss.FUTURE:
                    self._fall_silent(client)
                    return
                if loss is not Loss.REQUEST:
                    upstream.sendall(text)
                if loss in (Loss.REQUEST, Loss.CONNECTION):
                    self._reset(client)
                    return

    @staticmethod
    def _reset(client: socket.socket) -> None:
        """Make the following close a reset (RST)."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @staticmethod
    def _fall_silent(client: socket.socket) -> None:
        """Read what the client sends, and discard it."""
        while client.recv(65536):
            pass


@contextmanager
def proxy_of(url: str) -> Iterator[Proxy]:
    """A proxy that runs while the block does."""
    with Proxy(url) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(WAKE_INTERVAL_S,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
