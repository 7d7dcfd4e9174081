"""The promise of product reads, watched under load: an answered change shows at once, any other within 1 s."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

FRESH_S = 1.0
CONNECTIONS = 8  # enough to meet every worker
PAUSE_S = 0.02


class BrokenPromise(Exception):
    """A read was older than it may be: there is no figure of such a run."""


class Watcher:
    """A buyer who looks after each hold whether it shows, and an operator whose hold must show in time.

    Nobody else may change the product meanwhile. `hold_elsewhere` holds a unit behind the service's back.
    """

    def __init__(self, url: str, hold_elsewhere: Callable[[], None]) -> None:
        """Nothing is sent before `watch`."""
        host = urlsplit(url).netloc
        connections = [http.client.HTTPConnection(host, timeout=5) for _ in range(CONNECTIONS)]
        self._connections = itertools.cycle(connections)
        self._hold_elsewhere = hold_elsewhere
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self.own_reads = 0
        self.oldest_s = 0.0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch during the block; raises BrokenPromise after it."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._hold_and_look()
                self._hold_elsewhere_and_look()
        except BaseException as error:  # noqa: BLE001 raised again where the watch ends
            self._error = error

    def _hold_and_look(self) -> None:
        before = self._available()
        self._ask("POST", "/api/holds", '{"product_id":1,"quantity":1}')
        for _ in range(CONNECTIONS):
            self.own_reads += 1
            if (seen := self._available()) != before - 1:
                raise BrokenPromise(f"after a hold {seen} units were seen, not {before - 1}")

    def _hold_elsewhere_and_look(self) -> None:
        before = self._available()
        self._hold_elsewhere()
        changed_at = time.monotonic()
        while True:
            asked_at = time.monotonic()
            if self._available() == before - 1:
                return
            self.oldest_s = max(self.oldest_s, asked_at - changed_at)
            if self.oldest_s > FRESH_S:
                raise BrokenPromise(f"a read {self.oldest_s:.3f} s after a change did not show it")
            time.sleep(PAUSE_S)

    def _available(self) -> int:
        available: int = self._ask("GET", "/api/products/1")["available_stock"]
        return available

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, int]:
        connection = next(self._connections)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED):
            raise BrokenPromise(f"{method} {path} answered {response.status} {text!r}")
        document: dict[str, int] = json.loads(text)
        return document
