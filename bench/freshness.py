"""Checks under load that product reads are fresh.

A hold that the service has answered must show in the next read; a hold made in MySQL directly, within 1 s.
"""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

MAX_AGE_S = 1.0
CONNECTIONS = 8  # enough to reach every worker
POLL_INTERVAL_S = 0.02


class FreshnessError(Exception):
    """A read was older than it may be, or a request failed; the scenario yields no result."""


class FreshnessChecker:
    """Holds units of product 1, through the service and in MySQL directly, and checks that reads show them in time.

    No other client may change the product meanwhile. `hold_in_mysql` holds one unit without the service.
    """

    def __init__(self, url: str, hold_in_mysql: Callable[[], None]) -> None:
        """Prepare the connections to the service; `run` begins to use them."""
        host = urlsplit(url).netloc
        connections = [http.client.HTTPConnection(host, timeout=5) for _ in range(CONNECTIONS)]
        self._connections = itertools.cycle(connections)
        self._hold_in_mysql = hold_in_mysql
        self._has_ended = threading.Event()
        self._error: BaseException | None = None
        self.reads_after_hold = 0
        self.oldest_s = 0.0

    @contextmanager
    def run(self) -> Iterator[None]:
        """Check during the block; raises FreshnessError at its end."""
        thread = threading.Thread(target=self._check_repeatedly)
        thread.start()
        try:
            yield
        finally:
            self._has_ended.set()
            thread.join()
        if self._error is not None:
            raise self._error

    def _check_repeatedly(self) -> None:
        try:
            while not self._has_ended.is_set():
                self._check_hold_through_service()
                self._check_hold_in_mysql()
        except BaseException as error:  # noqa: BLE001 `run` raises it in the main thread
            self._error = error

    def _check_hold_through_service(self) -> None:
        before = self._available()
        self._request("POST", "/api/holds", '{"product_id":1,"quantity":1}')
        for _ in range(CONNECTIONS):
            self.reads_after_hold += 1
            if (available := self._available()) != before - 1:
                raise FreshnessError(f"a read after a hold returned {available} units instead of {before - 1}")

    def _check_hold_in_mysql(self) -> None:
        before = self._available()
        self._hold_in_mysql()
        held_at = time.monotonic()
        while True:
            sent_at = time.monotonic()
            if self._available() == before - 1:
                return
            self.oldest_s = max(self.oldest_s, sent_at - held_at)
            if self.oldest_s > MAX_AGE_S:
                raise FreshnessError(f"a read {self.oldest_s:.3f} s after a change did not show it")
            time.sleep(POLL_INTERVAL_S)

    def _available(self) -> int:
        available: int = self._request("GET", "/api/products/1")["available_stock"]
        return available

    def _request(self, method: str, path: str, body: str | None = None) -> dict[str, int]:
        connection = next(self._connections)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED):
            raise FreshnessError(f"{method} {path} returned {response.status} {text!r}")
        document: dict[str, int] = json.loads(text)
        return document
