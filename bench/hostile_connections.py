"""Clients that want nothing but to be in the way, see `main`.

The numbers are connections of each kind, all open at once: silent ones, ones that send their headers a byte a second,
ones that send half a body, and ones that pipeline garbage behind requests, every second. Who is cut off comes again.
Prints "ready" once all are connected, and goes on until it is killed.
"""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from urllib.parse import urlsplit

import uvloop

CONNECTING_AT_ONCE = 200  # well under the length of the service's queue of new connections
BYTE_INTERVAL_S = 1
GARBAGE_INTERVAL_S = 1
HEADERS = b"POST /api/holds HTTP/1.1\r\nHost: checkout\r\nContent-Type: application/json\r\n"
HALF_A_BODY = HEADERS + b'Content-Length: 100\r\n\r\n{"product_id":1,"quant'
GARBAGE = b"GET /healthz HTTP/1.1\r\nHost: checkout\r\n\r\n" * 3 + b"\x16\x03\x01\x02\x00\r\n" * 1000

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class AttackersFailed(Exception):
    """The attackers could not connect."""


@dataclass(frozen=True)
class Crowd:
    """How many connections of each kind."""

    idle: int = 10_000
    slow: int = 500
    half: int = 500
    garbage: int = 100


@contextmanager
def attackers(url: str, crowd: Crowd) -> Iterator[None]:
    """Attackers of a service, all connected, killed with the block."""
    command = [sys.executable, "-m", "bench.hostile_connections", url, *map(str, astuple(crowd))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise AttackersFailed("the attackers' messages are above")
            yield
        finally:
            process.kill()


async def stay(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing."""
    await reader.read()


async def dawdle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send headers a byte a second, without an end."""
    writer.write(HEADERS + b"X-Padding: ")
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(BYTE_INTERVAL_S)


async def stop_halfway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send half a body, and wait."""
    writer.write(HALF_A_BODY)
    await reader.read()


async def talk_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pipeline requests and garbage, and hear nothing of the answers until the end."""
    writer.write(GARBAGE)
    await asyncio.sleep(GARBAGE_INTERVAL_S)
    await reader.read()


async def attack_again_and_again(
    url: str, attack: Attack, connecting: asyncio.Semaphore, barrier: asyncio.Barrier
) -> None:
    """One attacker, who comes again whenever the service has enough of it."""
    target = urlsplit(url)
    is_first = True
    while True:
        async with connecting:
            reader, writer = await asyncio.open_connection(target.hostname, target.port)
        if is_first:
            await barrier.wait()
            is_first = False
        with suppress(ConnectionError):
            await attack(reader, writer)
        writer.close()


async def main(url: str, *numbers: int) -> None:
    """Attack until killed."""
    connecting, barrier = asyncio.Semaphore(CONNECTING_AT_ONCE), asyncio.Barrier(sum(numbers) + 1)
    async with asyncio.TaskGroup() as group:
        for attack, number in zip((stay, dawdle, stop_halfway, talk_rubbish), numbers, strict=True):
            for _ in range(number):
                group.create_task(attack_again_and_again(url, attack, connecting, barrier))
        await barrier.wait()
        print("ready", flush=True)


if __name__ == "__main__":
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:])))
