"""Listeners of a live stock stream.

`python -m bench.listeners URL NUMBER` opens so many connections that listen to product 1. It prints "ready" once each
of them has received the stock, and at the end of its input the events per second that a connection has received since.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench import programs

CONCURRENT_CONNECTS = 200  # well below the length of the service's accept queue
REQUEST = b"GET /api/products/1/stock/stream HTTP/1.1\r\nHost: checkout\r\n\r\n"


@contextmanager
def listening(url: str, number: int, rates: list[float]) -> Iterator[None]:
    """Keep listeners of a service connected during the block; raises LoadError.

    At the end of the block, the events per second that a listener has received are appended to `rates`.
    """
    with programs.running("listeners", url, number) as process:
        yield
        rates.append(float(programs.finish(process)))


class Listener(asyncio.Protocol):
    """One connection; counts the events that it receives."""

    def __init__(self) -> None:
        self.events = 0
        self.has_begun = asyncio.Event()
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        """Send the request; keep the transport, because uvloop closes one that nothing refers to."""
        self._transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Count the events."""
        self.events += data.count(b"id: ")
        self.has_begun.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """Record that the stream has ended."""
        self.is_lost = True
        self.has_begun.set()


async def main(url: str, number: int) -> None:
    """Listen until the input ends; exit with a message if a stream has ended before."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    loop = asyncio.get_running_loop()
    connecting = asyncio.Semaphore(CONCURRENT_CONNECTS)

    async def connect() -> Listener:
        async with connecting:
            _, listener = await loop.create_connection(Listener, host, port)
            await listener.has_begun.wait()
        return listener

    listeners = await asyncio.gather(*(connect() for _ in range(number)))
    print("ready", flush=True)
    started_at, events_before = time.monotonic(), sum(listener.events for listener in listeners)
    await asyncio.to_thread(sys.stdin.read)
    if lost := sum(listener.is_lost for listener in listeners):
        sys.exit(f"{lost} of {number} streams ended")
    received = sum(listener.events for listener in listeners) - events_before
    print(received / number / (time.monotonic() - started_at))


if __name__ == "__main__":
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
