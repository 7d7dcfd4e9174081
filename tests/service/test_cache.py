"""ProductCache: versions, freshness, and a Redis that fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from decimal import Decimal

import pytest
import redis
from redis.asyncio import Redis
from structlog.testing import capture_logs

from service.cache import FRESH_MS, KEY_PREFIX, ProductCache, Value, connect_redis
from service.rows import Product
from stack.process import Server
from tests.support import PATIENCE_S, eventually_async

PRODUCT_ID = 1_000_001  # no database has so many products
NEARLY_A_SECOND_S = 0.9


def value(version: int, body: bytes = b"") -> Value:
    """A value of the product under test."""
    return Value(PRODUCT_ID, version, body or f"version {version}".encode())


@pytest.fixture
def store(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    """A client of Redis, from which the product under test is deleted."""
    with redis.Redis.from_url(redis_url) as client:
        client.delete(f"{KEY_PREFIX}{PRODUCT_ID}")
        yield client


@pytest.fixture
async def cache(redis_url: str, store: object) -> AsyncIterator[ProductCache]:  # noqa: ARG001 emptied before
    """The cache of one worker, without the short timeouts of the service, which a busy machine could exceed."""
    opened = ProductCache(Redis.from_url(redis_url))
    yield opened
    await opened.close()


@pytest.fixture
async def hasty_cache(redis_url: str, store: object) -> AsyncIterator[ProductCache]:  # noqa: ARG001 emptied before
    """The cache of one worker, with the timeouts of the service."""
    opened = ProductCache(connect_redis(redis_url))
    yield opened
    await opened.close()


async def held(cache: ProductCache) -> bytes | None:
    """The cached body of the product; None if it is missing or stale."""
    return (await cache.read([PRODUCT_ID])).get(PRODUCT_ID)


async def publish(cache: ProductCache, offered: Value, age_s: float = 0) -> bytes:
    """Publish a value; returns the body to serve."""
    return (await cache.publish([offered], age_s))[PRODUCT_ID]


async def test_a_read_of_an_unpublished_product_returns_nothing(cache: ProductCache) -> None:
    assert await cache.read([PRODUCT_ID, PRODUCT_ID + 1]) == {}
    assert await cache.read([]) == {}
    assert await cache.publish([], 0) == {}


async def test_every_worker_reads_a_published_value(cache: ProductCache, redis_url: str) -> None:
    other = ProductCache(Redis.from_url(redis_url))
    assert await publish(cache, value(1)) == b"version 1"
    assert await held(cache) == await held(other) == b"version 1"
    await other.close()


async def test_a_newer_version_replaces_an_older_one(cache: ProductCache) -> None:
    await publish(cache, value(9))
    assert await publish(cache, value(10)) == b"version 10"
    assert await held(cache) == b"version 10"


async def test_publishing_an_older_version_returns_the_newer_one(cache: ProductCache) -> None:
    await publish(cache, value(10))
    assert await publish(cache, value(9)) == b"version 10"
    assert await held(cache) == b"version 10"


async def test_a_stale_newer_version_still_refuses_an_older_one(cache: ProductCache) -> None:
    await publish(cache, value(10), age_s=FRESH_MS / 1000)
    assert await held(cache) is None
    assert await publish(cache, value(9)) == b"version 10"
    assert await held(cache) is None


async def test_publishing_the_same_version_makes_it_fresh_again(cache: ProductCache) -> None:
    await publish(cache, value(10), age_s=FRESH_MS / 1000)
    assert await held(cache) is None
    assert await publish(cache, value(10)) == b"version 10"
    assert await held(cache) == b"version 10"


async def test_an_older_read_of_the_same_version_does_not_shorten_its_freshness(
    cache: ProductCache, store: "redis.Redis[bytes]"
) -> None:
    await publish(cache, value(10))
    before = store.hget(f"{KEY_PREFIX}{PRODUCT_ID}", "fresh_until")
    await publish(cache, value(10), age_s=NEARLY_A_SECOND_S)
    assert store.hget(f"{KEY_PREFIX}{PRODUCT_ID}", "fresh_until") == before


async def test_a_value_is_stale_after_a_second(cache: ProductCache) -> None:
    await publish(cache, value(1), age_s=NEARLY_A_SECOND_S)

    async def is_stale() -> bool:
        return await held(cache) is None

    await eventually_async(is_stale)


async def test_a_stale_value_is_kept_for_an_hour_to_refuse_older_ones(
    cache: ProductCache, store: "redis.Redis[bytes]"
) -> None:
    await publish(cache, value(1))
    assert 3500 < store.ttl(f"{KEY_PREFIX}{PRODUCT_ID}") <= 3600


async def test_versions_are_compared_as_numbers(cache: ProductCache) -> None:
    for version in (9, 10, 99, 100, 2**53 - 1):
        assert await publish(cache, value(version)) == f"version {version}".encode()
    assert await publish(cache, value(2**52)) == f"version {2**53 - 1}".encode()


async def test_the_newest_of_concurrently_published_versions_wins(cache: ProductCache, redis_url: str) -> None:
    workers = [ProductCache(Redis.from_url(redis_url)) for _ in range(8)]

    async def publish_some(position: int) -> None:
        for number in range(position, 100, 8):
            version = 7 * number % 100
            assert int((await publish(workers[position], value(version))).split()[1]) >= version

    await asyncio.gather(*map(publish_some, range(8)))
    assert await held(cache) == b"version 99"
    for worker in workers:
        await worker.close()


async def test_a_body_is_returned_byte_for_byte(cache: ProductCache) -> None:
    body = b'{"name":"\xe9\x99\x90\x00\r\n"}'
    assert await publish(cache, value(1, body)) == body
    assert await held(cache) == body


def test_keys_name_the_format_of_the_body() -> None:
    """A release that changes the body changes the number in the keys, too."""
    product = Product(1, "Item", Decimal("100.00"), 5, 7, None, datetime(2026, 1, 2, 18), datetime(2026, 1, 2, 19), 2)
    assert (KEY_PREFIX, product.body()) == (
        "product.2:",
        b'{"id":1,"name":"Item","price":100.0,"available_stock":5,"sale_starts_at":"2026-01-02T18:00:00Z",'
        b'"sale_ends_at":"2026-01-02T19:00:00Z","maximum_per_customer":2}',
    )


async def test_scripts_are_sent_again_after_a_script_flush(cache: ProductCache, store: "redis.Redis[bytes]") -> None:
    await publish(cache, value(1))
    store.script_flush()
    assert await held(cache) == b"version 1"
    store.script_flush()
    assert await publish(cache, value(2)) == b"version 2"


async def test_a_failing_redis_opens_the_circuit_which_closes_when_it_answers_again(
    hasty_cache: ProductCache, redis_server: Server
) -> None:
    await publish(hasty_cache, value(1))
    redis_server.stop()
    with capture_logs() as lines:
        assert await held(hasty_cache) is None
        assert hasty_cache.is_circuit_open()
        for version in range(2, 50):
            assert await publish(hasty_cache, value(version)) == f"version {version}".encode()
            assert await held(hasty_cache) is None
    assert [line["event"] for line in lines] == ["cache_degraded"]
    redis_server.start()

    async def is_used() -> bool:
        assert await publish(hasty_cache, value(50)) == b"version 50"
        return await held(hasty_cache) == b"version 50"

    await eventually_async(is_used)


async def test_late_answers_of_a_frozen_redis_are_not_read_as_answers_to_later_commands(
    hasty_cache: ProductCache, redis_server: Server
) -> None:
    await publish(hasty_cache, value(1))
    redis_server.pause()
    async with asyncio.timeout(PATIENCE_S):
        assert await held(hasty_cache) is None
        assert await publish(hasty_cache, value(2)) == b"version 2"
    redis_server.resume()
    await eventually_async(lambda: not hasty_cache.is_circuit_open())
    for version in range(3, 20):
        assert await publish(hasty_cache, value(version)) == f"version {version}".encode()
        assert await held(hasty_cache) in (f"version {version}".encode(), None)  # None: Redis was late, or still is
