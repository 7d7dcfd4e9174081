"""StockFeed: heartbeats, and what a slow listener receives."""

from collections.abc import AsyncIterator

import pytest
import redis

from service import streams
from service.procedure_client import ProcedureClient
from service.settings import Settings
from service.streams import Listener, StockFeed
from tests.support import Session, eventually_async


@pytest.fixture
def product_id(session: Session) -> int:
    """A product of 1,000 units."""
    return session.create_product(stock=1000)


@pytest.fixture
async def procedures(app_url: str, redis_url: str) -> AsyncIterator[ProcedureClient]:
    """The service's client of MySQL and Redis, in this process."""
    opened = ProcedureClient(Settings(mysql_url=app_url, redis_url=redis_url))
    yield opened
    await opened.close()


async def listen(feed: StockFeed, product_id: int) -> Listener:
    """A listener of a product that exists."""
    listener = await feed.listen(product_id, "")
    assert listener is not None
    return listener


async def test_a_stream_without_changes_has_heartbeats(
    procedures: ProcedureClient, product_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.1)
    listener = await listen(StockFeed(procedures.read_product, procedures.cache), product_id)
    said = [await anext(listener) for _ in range(3)]
    await listener.close()
    assert said[0].startswith(b"id: 1\ndata: {")
    assert said[1:] == [b":\n\n"] * 2


async def test_a_slow_listener_receives_only_the_latest_stock(
    procedures: ProcedureClient, session: Session, product_id: int
) -> None:
    feed = StockFeed(procedures.read_product, procedures.cache)
    slow, quick = await listen(feed, product_id), await listen(feed, product_id)
    await anext(slow)
    await anext(quick)
    for _ in range(3):
        session.create_hold(product_id)
        await anext(quick)
    assert b'"available_stock":997' in await anext(slow)
    await slow.close()
    await quick.close()


async def test_a_subscription_is_replaced_after_its_lifetime(
    procedures: ProcedureClient, redis_url: str, product_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SUBSCRIPTION_S", 0.1)
    listener = await listen(StockFeed(procedures.read_product, procedures.cache), product_id)
    await anext(listener)
    with redis.Redis.from_url(redis_url) as store:

        def subscribers() -> set[str]:
            return {client["id"] for client in store.client_list("pubsub")}

        try:
            await eventually_async(subscribers)
            first = subscribers()
            await eventually_async(lambda: subscribers() and not subscribers() & first)
        finally:
            await listener.close()
