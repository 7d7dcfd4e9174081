"""The cache: as fresh as promised, never in the way, and never believed when it comes to selling."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import redis
from redis.asyncio import Redis
from structlog.testing import capture_logs

from service.cache import FRESH_MS, ProductCache, Value, connect_redis
from stack.process import Server
from tests.http.support import (
    Service,
    Shop,
    assert_problem,
    eventually,
    eventually_async,
    hold_request,
    order_request,
    payment_request,
)
from tests.support import Session

PRODUCT_ID = 1_000_001  # no database has so many products
NEARLY_A_SECOND_S = 0.9


def value(version: int, body: bytes = b"") -> Value:
    """A value of the product under test."""
    return Value(PRODUCT_ID, version, body or f"version {version}".encode())


@pytest.fixture
def store(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    """Redis itself, without the product under test."""
    with redis.Redis.from_url(redis_url) as client:
        client.delete(f"product:{PRODUCT_ID}")
        yield client


@pytest.fixture
async def cache(redis_url: str, store: object) -> AsyncIterator[ProductCache]:  # noqa: ARG001 emptied before
    """The cache of one worker, and a patient one: what it keeps is under test, and not how busy this machine is."""
    opened = ProductCache(Redis.from_url(redis_url))
    yield opened
    await opened.close()


@pytest.fixture
async def hasty_cache(redis_url: str, store: object) -> AsyncIterator[ProductCache]:  # noqa: ARG001 emptied before
    """The cache of one worker, as the service has it."""
    opened = ProductCache(connect_redis(redis_url))
    yield opened
    await opened.close()


async def held(cache: ProductCache) -> bytes | None:
    """What a reader gets."""
    return (await cache.read([PRODUCT_ID])).get(PRODUCT_ID)


async def publish(cache: ProductCache, offered: Value, age_s: float = 0) -> bytes:
    """Offer a value; returns the body that is to be served."""
    return (await cache.publish([offered], age_s))[PRODUCT_ID]


async def test_nothing_is_read_where_nothing_was_published(cache: ProductCache) -> None:
    assert await cache.read([PRODUCT_ID, PRODUCT_ID + 1]) == {}
    assert await cache.read([]) == {}
    assert await cache.publish([], 0) == {}


async def test_what_was_published_is_read_by_every_worker(cache: ProductCache, redis_url: str) -> None:
    other = ProductCache(Redis.from_url(redis_url))
    assert await publish(cache, value(1)) == b"version 1"
    assert await held(cache) == await held(other) == b"version 1"
    await other.close()


async def test_a_newer_version_replaces_an_older_one(cache: ProductCache) -> None:
    await publish(cache, value(9))
    assert await publish(cache, value(10)) == b"version 10"
    assert await held(cache) == b"version 10"


async def test_an_older_version_is_refused_and_the_newer_one_is_served_instead(cache: ProductCache) -> None:
    await publish(cache, value(10))
    assert await publish(cache, value(9)) == b"version 10"
    assert await held(cache) == b"version 10"


async def test_an_older_version_is_refused_also_when_the_newer_one_went_stale(cache: ProductCache) -> None:
    await publish(cache, value(10), age_s=FRESH_MS / 1000)
    assert await held(cache) is None
    assert await publish(cache, value(9)) == b"version 10"
    assert await held(cache) is None


async def test_the_same_version_is_fresh_again_when_it_was_read_again(cache: ProductCache) -> None:
    await publish(cache, value(10), age_s=FRESH_MS / 1000)
    assert await held(cache) is None
    assert await publish(cache, value(10)) == b"version 10"
    assert await held(cache) == b"version 10"


async def test_an_old_reading_of_the_same_version_does_not_shorten_its_time(
    cache: ProductCache, store: "redis.Redis[bytes]"
) -> None:
    await publish(cache, value(10))
    before = store.hget(f"product:{PRODUCT_ID}", "fresh_until")
    await publish(cache, value(10), age_s=NEARLY_A_SECOND_S)
    assert store.hget(f"product:{PRODUCT_ID}", "fresh_until") == before


async def test_a_value_is_not_read_for_longer_than_a_second(cache: ProductCache) -> None:
    await publish(cache, value(1), age_s=NEARLY_A_SECOND_S)

    async def is_stale() -> bool:
        return await held(cache) is None

    await eventually_async(is_stale)


async def test_a_stale_value_is_kept_for_an_hour_to_refuse_older_ones(
    cache: ProductCache, store: "redis.Redis[bytes]"
) -> None:
    await publish(cache, value(1))
    assert 3500 < store.ttl(f"product:{PRODUCT_ID}") <= 3600


async def test_versions_are_numbers_and_not_text(cache: ProductCache) -> None:
    for version in (9, 10, 99, 100, 2**53 - 1):
        assert await publish(cache, value(version)) == f"version {version}".encode()
    assert await publish(cache, value(2**52)) == f"version {2**53 - 1}".encode()


async def test_of_workers_that_publish_at_once_the_newest_version_wins(cache: ProductCache, redis_url: str) -> None:
    workers = [ProductCache(Redis.from_url(redis_url)) for _ in range(8)]

    async def publish_some(position: int) -> None:
        for number in range(position, 100, 8):
            version = 7 * number % 100
            assert int((await publish(workers[position], value(version))).split()[1]) >= version

    await asyncio.gather(*map(publish_some, range(8)))
    assert await held(cache) == b"version 99"
    for worker in workers:
        await worker.close()


async def test_a_body_is_served_byte_for_byte(cache: ProductCache) -> None:
    body = b'{"name":"\xe9\x99\x90\x00\r\n"}'
    assert await publish(cache, value(1, body)) == body
    assert await held(cache) == body


async def test_scripts_that_redis_forgot_are_sent_again(cache: ProductCache, store: "redis.Redis[bytes]") -> None:
    await publish(cache, value(1))
    store.script_flush()
    assert await held(cache) == b"version 1"
    store.script_flush()
    assert await publish(cache, value(2)) == b"version 2"


async def test_a_redis_that_fails_is_circuit_open_for_a_moment_and_then_asked_again(
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
    await eventually_async(lambda: not hasty_cache.is_circuit_open())
    assert await publish(hasty_cache, value(50)) == b"version 50"
    assert await held(hasty_cache) == b"version 50"


async def test_a_redis_that_says_nothing_is_given_up_and_its_late_answers_confuse_nobody(
    hasty_cache: ProductCache, redis_server: Server
) -> None:
    await publish(hasty_cache, value(1))
    redis_server.pause()
    async with asyncio.timeout(0.5):
        assert await held(hasty_cache) is None
        assert await publish(hasty_cache, value(2)) == b"version 2"
    redis_server.resume()
    await eventually_async(lambda: not hasty_cache.is_circuit_open())
    for version in range(3, 20):
        assert await publish(hasty_cache, value(version)) == f"version {version}".encode()
        assert await held(hasty_cache) == f"version {version}".encode()


@pytest.fixture(scope="module")
def workers(start_service: Callable[..., Service]) -> list[Service]:
    """Two services of one worker each, so that a test knows whom it asks."""
    return [start_service(WEB_CONCURRENCY="1") for _ in range(2)]


@pytest.fixture
def shops(workers: list[Service]) -> Iterator[list[Shop]]:
    """A client of each worker."""
    with workers[0].client() as first, workers[1].client() as second:
        yield [Shop(first), Shop(second)]


def test_who_was_answered_sees_the_change_from_every_worker(session: Session, shops: list[Shop]) -> None:
    product_id = session.create_product(stock=100)
    for number in range(1, 61):
        shops[number % 2].hold(product_id)
        assert [shop.available(product_id) for shop in shops] == [100 - number] * 2


def test_whatever_changes_the_stock_is_seen_from_every_worker(session: Session, shops: list[Shop]) -> None:
    product_id = session.create_product(stock=10)
    writer, reader = shops

    def seen() -> int:
        both = [writer.available(product_id), reader.available(product_id)]
        assert both[0] == both[1]
        return both[0]

    hold_id = writer.hold(product_id, 2)
    assert seen() == 8
    writer.client.delete(f"/api/holds/{hold_id}")
    assert seen() == 10
    cancelled, failed, paid = (writer.ordered(product_id) for _ in range(3))
    assert seen() == 7
    writer.client.post(f"/api/orders/{cancelled}/cancel")
    assert seen() == 8
    writer.pay("the cache sees a failure", failed, "failure")
    assert seen() == 9
    writer.pay("the cache sees a success", paid)
    assert seen() == 9
    writer.client.request(**payment_request("the cache sees a waiting failure", paid + 1, "failure"))
    writer.client.request(**order_request(writer.hold(product_id)))
    assert seen() == 9


def test_a_crowd_sees_no_more_than_there_was_when_it_asked(
    workers: list[Service], session: Session, shops: list[Shop]
) -> None:
    product_id = session.create_product(stock=200)
    reads = [{"method": "GET", "url": f"/api/products/{product_id}"}] * 100
    for _ in range(3):
        shops[0].hold(product_id)
        left = session.available(product_id)
        answers = workers[1].at_once(reads)
        assert {answer.json()["available_stock"] for answer in answers} == {left}
        assert {answer.status_code for answer in workers[1].at_once([hold_request(product_id)] * 10)} == {201}


def test_changes_behind_the_services_back_are_seen_within_a_second(session: Session, shops: list[Shop]) -> None:
    held, restocked, swept, renamed = products = [session.create_product(stock=5) for _ in range(4)]
    session.travel(-180)
    session.call("create_hold", swept, 1, None)
    session.travel(0)

    def documents(shop: Shop) -> list[str]:
        return [shop.client.get(f"/api/products/{product_id}").text for product_id in products]

    before = [documents(shop) for shop in shops]
    session.call("create_hold", held, 1, None)
    session.call("adjust_stock", restocked, 7, "restock")
    session.call("expire_due", 1000)
    session.call("change_product", renamed, "Another Name", "100.00", None)

    def is_seen(shop: Shop, before: list[str]) -> bool:
        return all(now != then for now, then in zip(documents(shop), before, strict=True))

    eventually(lambda: all(map(is_seen, shops, before)), within_s=3)
    assert [shops[1].available(product_id) for product_id in products] == [4, 12, 5, 5]


def test_a_product_that_does_not_exist_is_not_remembered(session: Session, shops: list[Shop]) -> None:
    product_id = session.create_product(stock=1) + 1
    for shop in shops:
        response = shop.client.get(f"/api/products/{product_id}")
        assert_problem(response, 404, "product_not_found", 30101)
    assert session.create_product(stock=3) == product_id
    assert [shop.available(product_id) for shop in shops] == [3, 3]


def test_the_cache_never_decides_a_hold(session: Session, shops: list[Shop], store: "redis.Redis[bytes]") -> None:
    product_id = session.create_product(stock=1)
    shop = shops[0]
    key = f"product:{product_id}"
    for claimed, accepted in ((0, 201), (1_000_000, 409)):
        document = {"id": product_id, "name": "x", "price": 1.0, "available_stock": claimed}
        store.hset(
            key,
            mapping={"version": 2**50 + claimed, "body": json.dumps(document), "fresh_until": 2**52},
        )
        assert shop.available(product_id) == claimed
        assert shop.client.request(**hold_request(product_id)).status_code == accepted
    store.delete(key)


def test_an_empty_redis_is_filled_again(session: Session, shops: list[Shop], store: "redis.Redis[bytes]") -> None:
    product_id = session.create_product(stock=50)
    for number in range(1, 11):
        shops[0].hold(product_id)
        store.flushdb()
        assert shops[1].available(product_id) == 50 - number
        assert shops[0].available(product_id) == 50 - number
    assert store.exists(f"product:{product_id}")


def test_a_key_that_is_no_product_costs_nothing_but_speed(
    session: Session, shops: list[Shop], store: "redis.Redis[bytes]"
) -> None:
    product_id = session.create_product(stock=5)
    store.set(f"product:{product_id}", "not a hash")
    shops[0].hold(product_id)
    assert [shop.available(product_id) for shop in shops] == [4, 4]
    store.delete(f"product:{product_id}")


def assert_everything_works(session: Session, shops: list[Shop]) -> None:
    """Check that the shop goes on, right to the last unit, whatever Redis does."""
    product_id = session.create_product(stock=12)
    for number in range(1, 6):
        shops[number % 2].hold(product_id)
        assert shops[number % 2].available(product_id) == 12 - number
    order_id = shops[0].ordered(product_id)
    shops[1].pay(f"payment of order {order_id}", order_id)
    eventually(lambda: [shop.available(product_id) for shop in shops] == [6, 6], within_s=3)


def readiness(shop: Shop) -> tuple[int, str, str]:
    """What the readiness of a worker says."""
    response: httpx.Response = shop.client.get("/readyz")
    return response.status_code, response.json()["status"], response.json()["redis"]


@pytest.mark.parametrize("trouble", ["stopped", "paused"])
def test_without_redis_every_answer_is_right_and_soon(
    workers: list[Service], session: Session, shops: list[Shop], redis_server: Server, trouble: str
) -> None:
    for shop in shops:
        shop.client.timeout = 1  # four times the pause that is allowed
    assert_everything_works(session, shops)
    if trouble == "stopped":
        redis_server.stop()
    else:
        redis_server.pause()
    assert_everything_works(session, shops)
    assert [readiness(shop) for shop in shops] == [(200, "degraded", "degraded")] * 2
    if trouble == "stopped":
        redis_server.start()
    else:
        redis_server.resume()
    assert_everything_works(session, shops)
    eventually(lambda: [readiness(shop) for shop in shops] == [(200, "ready", "ok")] * 2)
    assert all(worker.events("cache_degraded") for worker in workers)


def test_a_redis_that_restarts_in_the_middle_of_a_crowd_changes_no_answer(
    workers: list[Service], session: Session, redis_server: Server
) -> None:
    product_id = session.create_product(stock=100)
    requests = [
        request
        for _ in range(100)
        for request in (hold_request(product_id), {"method": "GET", "url": f"/api/products/{product_id}"})
    ]
    redis_server.stop()
    first = workers[0].at_once(requests[:100], 16)
    redis_server.start()
    second = workers[1].at_once(requests[100:], 16)
    assert {answer.status_code for answer in [*first, *second][::2]} == {201}
    assert {answer.status_code for answer in [*first, *second][1::2]} == {200}
    assert session.available(product_id) == 0
