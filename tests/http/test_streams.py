"""Streams of live stock: content, delay, rate and cost."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import redis

from service import streams
from service.cache import KEY_PREFIX
from stack.servers import Servers
from tests.http.support import Service, Shop, assert_common_headers, assert_problem, hold_request
from tests.support import PATIENCE_S, Session, eventually, eventually_async

TRIES = 5  # a busy machine may delay some of them


class Stream:
    """A client that listens to a product and records the events."""

    def __init__(self, client: httpx.AsyncClient, product_id: int, **headers: str) -> None:
        self.stock: list[int] = []
        self.ids: list[str] = []
        self.comments = 0
        self.response: httpx.Response | None = None
        self.has_ended = False
        self._client = client
        self._request = client.build_request("GET", f"/api/products/{product_id}/stock/stream", headers=headers)

    async def listen(self) -> None:
        """Read the stream to its end."""
        self.response = await self._client.send(self._request, stream=True)
        try:
            async for line in self.response.aiter_lines():
                name, _, value = line.partition(":")
                if name == "id":
                    self.ids.append(value.strip())
                elif name == "data":
                    self.stock.append(json.loads(value)["available_stock"])
                elif line:
                    self.comments += 1
            self.has_ended = True
        finally:
            await self.response.aclose()

    def has_begun(self) -> bool:
        """Whether it has received anything."""
        return bool(self.stock or self.comments)


@asynccontextmanager
async def listening(service: Service, product_id: int, number: int = 1, **headers: str) -> AsyncIterator[list[Stream]]:
    """So many listeners; each has received something when the block begins, and disconnects at its end."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_S, limits=limits, trust_env=False) as client:
        clients = [Stream(client, product_id, **headers) for _ in range(number)]
        tasks = [asyncio.create_task(stream.listen()) for stream in clients]
        try:
            await eventually_async(lambda: all(stream.has_begun() for stream in clients))
            yield clients
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def seconds_until_told(stream: Stream, change: Callable[[], Awaitable[int]]) -> float:
    """The seconds between a change's response and its event."""
    stock = await change()
    started_at = time.monotonic()
    await eventually_async(lambda: stream.stock[-1] == stock)
    return time.monotonic() - started_at


async def is_told_within_a_second(stream: Stream, change: Callable[[], Awaitable[int]]) -> bool:
    """Whether the event of one of a few changes arrives within a second."""
    for _ in range(TRIES):
        if await seconds_until_told(stream, change) < 1:
            return True
    return False


@pytest.fixture
def product_id(session: Session) -> int:
    """A product of 1,000 units."""
    return session.create_product(stock=1000)


async def test_a_stream_begins_with_the_current_stock(service: Service, product_id: int) -> None:
    async with listening(service, product_id) as (stream,):
        assert stream.stock == [1000]
        assert stream.ids == ["1"]
        assert stream.response is not None
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        assert stream.response.headers["X-Accel-Buffering"] == "no"
        assert_common_headers(stream.response)


async def test_every_worker_sends_a_hold_s_change_within_a_second(
    service: Service, shop: Shop, product_id: int
) -> None:
    async def hold() -> int:
        await asyncio.to_thread(shop.hold, product_id)
        return await asyncio.to_thread(shop.available, product_id)

    async with listening(service, product_id, 8) as clients:
        for stream in clients:
            assert await is_told_within_a_second(stream, hold)


async def test_a_change_by_direct_call_is_sent_within_a_second(
    service: Service, session: Session, product_id: int
) -> None:
    async def restock() -> int:
        return int(session.call("adjust_stock", product_id, 1, "restock", None)[0]["available_stock"])

    async with listening(service, product_id) as (stream,):
        assert await is_told_within_a_second(stream, restock)


async def test_changes_are_sent_without_redis(
    service: Service, session: Session, servers: Servers, product_id: int
) -> None:
    async def hold() -> int:
        session.create_hold(product_id)
        return session.available(product_id)

    servers.redis.pause()
    try:
        async with listening(service, product_id) as (stream,):
            assert await is_told_within_a_second(stream, hold)
    finally:
        servers.redis.resume()


async def test_many_changes_become_few_events_and_the_last_has_the_final_stock(
    service: Service, product_id: int
) -> None:
    async with listening(service, product_id) as (stream,):
        started_at = time.monotonic()
        for _ in range(4):
            answers = await asyncio.to_thread(service.at_once, [hold_request(product_id)] * 50)
            assert {answer.status_code for answer in answers} == {201}
        await eventually_async(lambda: stream.stock[-1] == 800)
        passed_s = time.monotonic() - started_at
        assert len(stream.stock) <= 2 + passed_s / streams.SHORTEST_ROUND_S
        assert stream.stock == sorted(stream.stock, reverse=True)
        assert [int(event_id) for event_id in stream.ids] == sorted({int(event_id) for event_id in stream.ids})


async def test_a_client_with_the_current_last_event_id_gets_no_event_until_a_change(
    service: Service, session: Session, product_id: int
) -> None:
    async with listening(service, product_id, **{"Last-Event-ID": "1"}) as (stream,):
        assert (stream.stock, stream.comments) == ([], 1)
        session.create_hold(product_id)
        await eventually_async(lambda: stream.stock == [999])


@pytest.mark.parametrize("last_event_id", ["0", "2", "x", "9" * 5000, "-1"])
async def test_a_client_with_another_last_event_id_gets_the_stock_at_once(
    service: Service, product_id: int, last_event_id: str
) -> None:
    async with listening(service, product_id, **{"Last-Event-ID": last_event_id}) as (stream,):
        assert stream.stock == [1000]


@pytest.mark.parametrize("product", ["1000000000", "abc", "0"])
def test_the_stream_of_an_unknown_product_is_404(client: httpx.Client, product: str) -> None:
    response = client.get(f"/api/products/{product}/stock/stream")
    assert_problem(response, 404, "product_not_found", 30101)


async def test_a_listener_receives_only_changes_of_its_own_product(service: Service, session: Session) -> None:
    first, second = session.create_product(stock=10), session.create_product(stock=20)
    async with listening(service, first) as (one,), listening(service, second) as (other,):
        session.create_hold(first, 3)
        await eventually_async(lambda: one.stock == [10, 7])
        session.create_hold(second, 4)
        await eventually_async(lambda: other.stock == [20, 16])
        assert one.stock == [10, 7]


async def test_hundreds_of_listeners_share_one_subscription_per_worker_which_ends_with_them(
    start_service: Callable[..., Service], session: Session, redis_url: str, product_id: int
) -> None:
    service = start_service()

    def listeners() -> float:
        with service.client() as client:
            text = client.get("/metrics").text
        return float(text.partition("\ncheckout_stream_listeners ")[2].partition("\n")[0])

    with redis.Redis.from_url(redis_url) as store:

        def subscriptions() -> list[int]:
            channels = store.pubsub_channels(f"*:{KEY_PREFIX}{product_id}")
            return [number for _, number in store.pubsub_numsub(*channels)] if channels else []

        async with listening(service, product_id, 300) as clients:
            await eventually_async(lambda: subscriptions() == [2])
            assert await asyncio.to_thread(listeners) == 300
            session.create_hold(product_id)
            await eventually_async(lambda: all(stream.stock[-1] == 999 for stream in clients))
            await eventually_async(lambda: subscriptions() == [2])
        await asyncio.to_thread(eventually, lambda: listeners() == 0)
        await eventually_async(lambda: subscriptions() == [])


async def test_a_stop_ends_open_streams(start_service: Callable[..., Service], product_id: int) -> None:
    service = start_service()
    async with listening(service, product_id, 50) as clients:
        await asyncio.to_thread(service.stop)
        await eventually_async(lambda: all(stream.has_ended for stream in clients))
    assert service.exit_code() == 0
    assert "graceful shutdown exceeded" not in service.text()


def test_a_stream_needs_an_api_key_if_keys_are_configured(
    start_service: Callable[..., Service], product_id: int
) -> None:
    service = start_service(API_KEYS=f"shop:{'0' * 64}", WEB_CONCURRENCY="1")
    with service.client() as client:
        assert client.get(f"/api/products/{product_id}/stock/stream").status_code == 401
