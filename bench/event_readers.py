"""Readers who wait for the next event of the feed.

`python -m bench.event_readers URL NUMBER` opens so many connections that read the feed by long polling. It prints
"ready" once each of them waits for an event. At the end of its input, an order has been made: it prints after how many
seconds each reader had its event.
"""

import asyncio
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench import programs
from bench.database import ProductDatabase

CONCURRENT_CONNECTS = 200  # well below the length of the service's accept queue
WAIT_S = 30  # the longest that the service allows
TIMEOUT_S = 10
END_OF_ANSWER = re.compile(rb'"next":(\d+)\}$')


@contextmanager
def waiting(url: str, database: ProductDatabase, number: int, delays_s: list[float]) -> Iterator[None]:
    """Keep readers of a service's feed waiting during the block; raises LoadError.

    At the end of the block, an order is made in MySQL, and each reader has to get its event once. The seconds until the
    last one had it are appended to `delays_s`.
    """
    with programs.running("event_readers", url, number) as process:
        yield
        ((hold_id,),) = database.execute("SELECT MAX(id) FROM holds")
        database.order([hold_id])
        delays_s.append(float(programs.finish(process)))


class Reader(asyncio.Protocol):
    """One connection, which reads the feed page by page, and counts the events that it gets."""

    def __init__(self) -> None:
        self.events = 0
        self.is_waiting = asyncio.Event()
        self.has_event = asyncio.Event()
        self.is_lost = False
        self._answer = b""

    def connection_made(self, transport: Any) -> None:
        """Read what there is."""
        self._transport = transport
        self._read(after=0, wait_s=0)

    def _read(self, after: int, wait_s: int) -> None:
        target = f"/api/events?after={after}&wait_s={wait_s}"
        self._transport.write(f"GET {target} HTTP/1.1\r\nHost: checkout\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Count the events of a page, and wait for the next one."""
        self._answer += data
        if end := END_OF_ANSWER.search(self._answer):
            self.is_lost |= not self._answer.startswith(b"HTTP/1.1 200 ")
            self.events += self._answer.count(b'"position":')
            if self.events:
                self.has_event.set()
            self._answer = b""
            self._read(after=int(end[1]), wait_s=WAIT_S)
            self.is_waiting.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """Record that the service has closed the connection."""
        self.is_lost = True
        self.is_waiting.set()
        self.has_event.set()


async def main(url: str, number: int) -> None:
    """Wait until the input ends, then for an event; exit with a message unless each reader gets it once."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    loop = asyncio.get_running_loop()
    connecting = asyncio.Semaphore(CONCURRENT_CONNECTS)

    async def connect() -> Reader:
        async with connecting:
            _, reader = await loop.create_connection(Reader, host, port)
            await reader.is_waiting.wait()
        return reader

    readers = await asyncio.gather(*(connect() for _ in range(number)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    ordered_at = time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(reader.has_event.wait() for reader in readers))
    if wrong := sum(reader.events != 1 or reader.is_lost for reader in readers):
        sys.exit(f"{wrong} of {number} readers lost their connection, or did not get the event once")
    print(time.monotonic() - ordered_at)


if __name__ == "__main__":
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
