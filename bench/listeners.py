"""Clients of live stock: `python -m bench.listeners <url> <number>` listens to product 1 with so many connections.

Prints "ready" once all have heard the stock, and at the end of its input how many events each has heard in a second.
"""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvloop

CONNECTING_AT_ONCE = 200  # well under the length of the service's queue of new connections
REQUEST = b"GET /api/products/1/stock/stream HTTP/1.1\r\nHost: checkout\r\n\r\n"


class ListenersFailed(Exception):
    """The listeners could not connect, or lost their connections."""


@contextmanager
def listening(url: str, number: int, rates: list[float]) -> Iterator[None]:
    """Listeners of a service, for as long as the block runs; adds the events a second that each has heard."""
    command = [sys.executable, "-m", "bench.listeners", url, str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise ListenersFailed("the listeners' messages are above")
            yield
            output, _ = process.communicate()
        finally:
            process.kill()
    if process.returncode != 0:
        raise ListenersFailed("the listeners' messages are above")
    rates.append(float(output))


class Listener(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.events = 0
        self.has_begun = asyncio.Event()
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        """Ask; and keep the connection, which uvloop closes when nobody does."""
        self._transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.events += data.count(b"id: ")
        self.has_begun.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """Remember that the stream ended."""
        self.is_lost = True
        self.has_begun.set()


async def main(url: str, number: int) -> None:
    """Listen until the input ends."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    loop = asyncio.get_running_loop()
    connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def begin() -> Listener:
        async with connecting:
            _, listener = await loop.create_connection(Listener, host, port)
            await listener.has_begun.wait()
        return listener

    crowd = await asyncio.gather(*(begin() for _ in range(number)))
    print("ready", flush=True)
    started_at, before = time.monotonic(), sum(listener.events for listener in crowd)
    await asyncio.to_thread(sys.stdin.read)
    if lost := sum(listener.is_lost for listener in crowd):
        sys.exit(f"{lost} of {number} streams ended")
    heard = sum(listener.events for listener in crowd) - before
    print(heard / number / (time.monotonic() - started_at))


if __name__ == "__main__":
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
