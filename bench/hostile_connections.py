"""Connections that hold on to the service's resources without using it.

`python -m bench.hostile_connections URL SILENT SLOW_HEADERS HALF_BODY GARBAGE` opens so many connections of each kind:

- silent: connections that send nothing
- slow headers: connections that send headers at one byte per second
- half body: connections that stop in the middle of a body
- garbage: connections that pipeline requests followed by garbage, once per second

A connection that the service closes is opened again. The program prints "ready" once all are connected, and runs until
it is killed.
"""

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from urllib.parse import urlsplit

import uvloop

from bench import programs

CONCURRENT_CONNECTS = 200  # well below the length of the service's accept queue
BYTE_INTERVAL_S = 1
GARBAGE_INTERVAL_S = 1
HEADERS = b"POST /api/holds HTTP/1.1\r\nHost: checkout\r\nContent-Type: application/json\r\n"
HALF_A_BODY = HEADERS + b'Content-Length: 100\r\n\r\n{"product_id":1,"quant'
GARBAGE = b"GET /healthz HTTP/1.1\r\nHost: checkout\r\n\r\n" * 3 + b"\x16\x03\x01\x02\x00\r\n" * 1000

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class ConnectionCounts:
    """The number of hostile connections of each kind."""

    silent: int = 10_000
    slow_headers: int = 500
    half_body: int = 500
    garbage: int = 100


@contextmanager
def attack(url: str, counts: ConnectionCounts) -> Iterator[None]:
    """Keep hostile connections to a service open during the block; raises LoadError."""
    with programs.running("hostile_connections", url, *astuple(counts)):
        yield


async def send_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Wait until the service closes the connection."""
    await reader.read()


async def send_headers_slowly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send an endless header at one byte per second."""
    writer.write(HEADERS + b"X-Padding: ")
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(BYTE_INTERVAL_S)


async def send_half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the first half of a body, then wait until the service closes the connection."""
    writer.write(HALF_A_BODY)
    await reader.read()


async def send_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pipeline requests and garbage, and read no response before a second has passed."""
    writer.write(GARBAGE)
    await asyncio.sleep(GARBAGE_INTERVAL_S)
    await reader.read()


async def attack_repeatedly(
    url: str, send: Attack, connecting: asyncio.Semaphore, all_connected: asyncio.Barrier
) -> None:
    """Connect and attack, again whenever the service has closed the connection."""
    target = urlsplit(url)
    is_first = True
    while True:
        async with connecting:
            reader, writer = await asyncio.open_connection(target.hostname, target.port)
        if is_first:
            await all_connected.wait()
            is_first = False
        with suppress(ConnectionError):
            await send(reader, writer)
        writer.close()


async def main(url: str, *counts: int) -> None:
    """Attack until the process is killed."""
    connecting, all_connected = asyncio.Semaphore(CONCURRENT_CONNECTS), asyncio.Barrier(sum(counts) + 1)
    attacks = (send_nothing, send_headers_slowly, send_half_a_body, send_garbage)
    async with asyncio.TaskGroup() as group:
        for send, count in zip(attacks, counts, strict=True):
            for _ in range(count):
                group.create_task(attack_repeatedly(url, send, connecting, all_connected))
        await all_connected.wait()
        print("ready", flush=True)


if __name__ == "__main__":
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:])))
