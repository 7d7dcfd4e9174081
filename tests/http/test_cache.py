"""What clients of two workers see of a product that changes, with and without Redis."""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest
import redis

from service.cache import KEY_PREFIX
from stack.process import Server
from tests.http.support import Service, Shop, assert_problem, hold_request, order_request, payment_request
from tests.support import Session, eventually


@pytest.fixture
def store(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    """A client of the services' Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def workers(start_service: Callable[..., Service]) -> list[Service]:
    """Two services of one worker each, so that a test chooses the worker."""
    return [start_service(WEB_CONCURRENCY="1") for _ in range(2)]


@pytest.fixture
def shops(workers: list[Service]) -> Iterator[list[Shop]]:
    """A client of each worker."""
    with workers[0].client() as first, workers[1].client() as second:
        yield [Shop(first), Shop(second)]


@pytest.fixture
def assert_shown(workers: list[Service], shops: list[Shop]) -> Callable[[int, int], None]:
    """A function that checks that both workers show a number of available units of a product.

    They have to show it at once, unless a worker could not publish it, because Redis did not answer within 0.1 s. On a
    slow machine that happens now and then.
    """

    def failures() -> int:
        return sum(len(worker.events("cache_degraded")) for worker in workers)

    before = failures()

    def check(product_id: int, units: int) -> None:
        def is_shown() -> bool:
            return [shop.available(product_id) for shop in shops] == [units] * 2

        if not is_shown():
            assert failures() > before
            eventually(is_shown)

    return check


def test_after_the_response_every_worker_shows_the_change(
    session: Session, shops: list[Shop], assert_shown: Callable[[int, int], None]
) -> None:
    product_id = session.create_product(stock=100)
    for number in range(1, 61):
        shops[number % 2].hold(product_id)
        assert_shown(product_id, 100 - number)


def test_every_worker_shows_every_kind_of_change_to_the_stock(
    session: Session, shops: list[Shop], assert_shown: Callable[[int, int], None]
) -> None:
    product_id = session.create_product(stock=10)
    writer = shops[0]
    hold_id = writer.hold(product_id, 2)
    assert_shown(product_id, 8)
    writer.client.delete(f"/api/holds/{hold_id}")
    assert_shown(product_id, 10)
    cancelled, failed, paid = (writer.ordered(product_id) for _ in range(3))
    assert_shown(product_id, 7)
    writer.client.post(f"/api/orders/{cancelled}/cancel")
    assert_shown(product_id, 8)
    writer.pay("the cache sees a failure", failed, "failure")
    assert_shown(product_id, 9)
    writer.pay("the cache sees a success", paid)
    assert_shown(product_id, 9)
    writer.client.request(**payment_request("the cache sees a waiting failure", paid + 1, "failure"))
    writer.client.request(**order_request(writer.hold(product_id)))
    assert_shown(product_id, 9)


def test_concurrent_reads_show_no_value_that_is_older_than_the_request(
    workers: list[Service], session: Session, shops: list[Shop], assert_shown: Callable[[int, int], None]
) -> None:
    product_id = session.create_product(stock=200)
    reads = [{"method": "GET", "url": f"/api/products/{product_id}"}] * 100
    for _ in range(3):
        shops[0].hold(product_id)
        left = session.available(product_id)
        assert_shown(product_id, left)
        answers = workers[1].at_once(reads)
        assert {answer.json()["available_stock"] for answer in answers} == {left}
        assert {answer.status_code for answer in workers[1].at_once([hold_request(product_id)] * 10)} == {201}


def test_changes_by_direct_calls_are_shown(session: Session, shops: list[Shop]) -> None:
    held, restocked, swept, renamed, limited = products = [session.create_product(stock=5) for _ in range(5)]
    session.travel(-180)
    session.call("create_hold", swept, 1, None)
    session.travel(0)

    def documents(shop: Shop) -> list[str]:
        return [shop.client.get(f"/api/products/{product_id}").text for product_id in products]

    before = [documents(shop) for shop in shops]
    session.call("create_hold", held, 1, None)
    session.call("adjust_stock", restocked, 7, "restock", None)
    session.call("expire_due", 1000)
    session.call("change_product", renamed, "Another Name", "100.00", None)
    session.call("set_selling_rules", limited, None, None, 2)

    def is_seen(shop: Shop, before: list[str]) -> bool:
        return all(now != then for now, then in zip(documents(shop), before, strict=True))

    eventually(lambda: all(map(is_seen, shops, before)))
    assert [shops[1].available(product_id) for product_id in products] == [4, 12, 5, 5, 5]


def test_an_unknown_product_is_not_cached(session: Session, shops: list[Shop]) -> None:
    product_id = session.create_product(stock=1) + 1
    for shop in shops:
        response = shop.client.get(f"/api/products/{product_id}")
        assert_problem(response, 404, "product_not_found", 30101)
    assert session.create_product(stock=3) == product_id
    assert [shop.available(product_id) for shop in shops] == [3, 3]


def test_a_wrong_value_in_the_cache_does_not_decide_a_hold(
    session: Session, shops: list[Shop], store: "redis.Redis[bytes]"
) -> None:
    product_id = session.create_product(stock=1)
    shop = shops[0]
    key = f"{KEY_PREFIX}{product_id}"
    for claimed, accepted in ((0, 201), (1_000_000, 409)):
        document = {"id": product_id, "name": "x", "price": 1.0, "available_stock": claimed}
        store.hset(
            key,
            mapping={"version": 2**50 + claimed, "body": json.dumps(document), "fresh_until": 2**52},
        )
        assert shop.available(product_id) == claimed
        assert shop.client.request(**hold_request(product_id)).status_code == accepted
    store.delete(key)


def test_reads_fill_a_flushed_redis(session: Session, shops: list[Shop], store: "redis.Redis[bytes]") -> None:
    product_id = session.create_product(stock=50)
    for number in range(1, 11):
        shops[0].hold(product_id)
        store.flushdb()
        assert shops[1].available(product_id) == 50 - number
        assert shops[0].available(product_id) == 50 - number
    eventually(lambda: shops[0].available(product_id) == 40 and store.exists(f"{KEY_PREFIX}{product_id}"))


def test_a_redis_key_of_another_type_does_not_disturb_reads(
    session: Session, shops: list[Shop], store: "redis.Redis[bytes]"
) -> None:
    product_id = session.create_product(stock=5)
    store.set(f"{KEY_PREFIX}{product_id}", "not a hash")
    shops[0].hold(product_id)
    assert [shop.available(product_id) for shop in shops] == [4, 4]
    store.delete(f"{KEY_PREFIX}{product_id}")


def assert_everything_works(session: Session, shops: list[Shop]) -> None:
    """Check that holds, orders and payments work and that every read is correct."""
    product_id = session.create_product(stock=12)
    for number in range(1, 6):
        shops[number % 2].hold(product_id)
        assert shops[number % 2].available(product_id) == 12 - number
    order_id = shops[0].ordered(product_id)
    shops[1].pay(f"payment of order {order_id}", order_id)
    eventually(lambda: [shop.available(product_id) for shop in shops] == [6, 6])


def readiness(shop: Shop) -> tuple[int, str, str]:
    """Status code, status and state of Redis in the readiness of a worker."""
    response: httpx.Response = shop.client.get("/readyz")
    return response.status_code, response.json()["status"], response.json()["redis"]


@pytest.mark.parametrize("trouble", ["stopped", "paused"])
def test_without_redis_every_response_is_correct(
    workers: list[Service], session: Session, shops: list[Shop], redis_server: Server, trouble: str
) -> None:
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


def test_a_restart_of_redis_under_concurrent_requests_changes_no_response(
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
