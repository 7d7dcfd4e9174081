"""A Redis that refuses commands: the service closes its connections, and uses Redis again when it accepts commands."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from limits import parse

from service.access import RateLimits
from service.cache import ProductCache, Value, connect_redis
from stack.process import Server
from stack.servers import PROJECT
from tests.support import eventually_async

PRODUCT_ID = 1_000_001  # no database has so many products
CALLS = 8  # more than the rate limits have connections

# Commands after which Redis refuses the service's commands or connections, and commands that end this.
REFUSALS = {
    "READONLY": (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"]),
    "MASTERDOWN": (
        ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"],
        ["REPLICAOF NO ONE", "CONFIG SET replica-serve-stale-data yes"],
    ),
    "NOREPLICAS": (["CONFIG SET min-replicas-to-write 1"], ["CONFIG SET min-replicas-to-write 0"]),
    "OOM": (["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"]),
    "NOPERM": (["ACL SETUSER checkout -evalsha"], ["ACL SETUSER checkout +evalsha"]),
    "WRONGPASS": (
        ["ACL SETUSER checkout resetpass >other", "CLIENT KILL USER checkout"],
        ["ACL SETUSER checkout >password"],
    ),
}


class Administrator:
    """An administrator of Redis who makes it refuse the service's commands."""

    def __init__(self, client: "redis.Redis[bytes]") -> None:
        self.client = client

    def connections(self) -> set[str]:
        """Return the ids of the connections of the service's account."""
        return {client["id"] for client in self.client.client_list() if client["user"] == "checkout"}

    def calls_counted(self) -> int:
        """Return how many calls the rate limits have counted."""
        return sum(int(self.client.get(key) or 0) for key in self.client.scan_iter("rate:*"))

    @contextmanager
    def refusal(self, name: str) -> Iterator[None]:
        """Make Redis refuse commands while the block runs."""
        begin, end = REFUSALS[name]
        for command in begin:
            self.client.execute_command(command)
        try:
            yield
        finally:
            for command in end:
                self.client.execute_command(command)


@pytest.fixture
def administrator(redis_server: Server, redis_url: str) -> Iterator[Administrator]:  # noqa: ARG001 skips without one
    """The administrator of an empty Redis, which has the account that the documentation recommends."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        rules = re.findall(r"ACL SETUSER checkout .*", (PROJECT / "docs" / "settings.md").read_text())[0]
        database = urlsplit(redis_url).query.removeprefix("db=")
        client.execute_command(rules.replace("&0:", f"&{database}:"))
        yield Administrator(client)
        client.acl_deluser("checkout")


@pytest.fixture
def account_url(redis_url: str) -> str:
    """The URL of Redis for the service's account."""
    return urlunsplit(urlsplit(redis_url)._replace(netloc="checkout:password@"))


async def publish(cache: ProductCache, version: int) -> bytes:
    """Publish a version of the product under test; returns the body to serve."""
    return (await cache.publish([Value(PRODUCT_ID, version, b"version %d" % version)], 0))[PRODUCT_ID]


async def is_used(cache: ProductCache, version: int) -> bool:
    """Whether a cache publishes, reads and lists the product under test; not if Redis is late on a slow machine."""
    body = await publish(cache, version)
    return await cache.read([PRODUCT_ID]) == {PRODUCT_ID: body} and await cache.product_ids() == [PRODUCT_ID]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_the_cache_stops_using_a_redis_that_refuses_commands_and_uses_it_after_its_return(
    administrator: Administrator, account_url: str, refusal: str
) -> None:
    async with AsyncExitStack() as opened:
        caches = [ProductCache(connect_redis(account_url)) for _ in range(4)]
        for cache in caches:
            opened.push_async_callback(cache.close)
            await eventually_async(cache.is_available)
        reader, publisher, lister, checker = caches
        await publish(publisher, 1)
        connections = administrator.connections()
        with administrator.refusal(refusal):
            assert await reader.read([PRODUCT_ID]) == {}
            assert await publish(publisher, 2) == b"version 2"
            assert await lister.product_ids() == []
            assert not await checker.is_available()
            assert all(cache.is_circuit_open() for cache in caches)
            await eventually_async(lambda: not connections & administrator.connections())
        for version, cache in enumerate(caches, start=3):
            await eventually_async(partial(is_used, cache, version))


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_rate_limits_are_open_while_redis_refuses_commands_and_count_again_afterwards(
    administrator: Administrator, account_url: str, refusal: str
) -> None:
    limits = RateLimits(account_url, parse("1000/hour"), None, [])

    async def is_counted() -> bool:
        before = administrator.calls_counted()
        await limits.count_key("shop")
        return administrator.calls_counted() > before

    await eventually_async(is_counted)
    await asyncio.gather(*(limits.count_key("shop") for _ in range(CALLS)))
    connections = administrator.connections()
    with administrator.refusal(refusal):
        await limits.count_key("shop")  # the limits fail open
        await eventually_async(lambda: not connections & administrator.connections())
    await eventually_async(is_counted)
