"""Live stock as server-sent events. The load on MySQL and Redis does not grow with the number of listeners.

A worker with listeners has one subscription in Redis, in which it receives each change that a worker publishes. In
addition, it reads all products that have listeners from MySQL twice per second, in one call. That finds the changes
that the EVENT or a DBA made, and all changes while Redis is unavailable.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

import structlog

from service.cache import ProductCache, Value
from service.errors import DatabaseUnavailable, Overloaded
from service.metrics import STREAM_LISTENERS
from service.redis import RedisUnavailable
from service.requests import ID

HEARTBEAT_S = 15.0
READ_INTERVAL_S = 0.5
RESTART_S = 1.0
SUBSCRIPTION_S = 5.0
# A round sends each listener at most one event. The more listeners there are, the longer a round takes, so that holds
# get their share of the worker's time: it sends about EVENTS_PER_S, but a round takes at most LONGEST_ROUND_S.
SHORTEST_ROUND_S = 0.1
LONGEST_ROUND_S = 0.8
EVENTS_PER_S = 1250
# A round consists of turns with pauses between them, in which the worker answers other requests.
TURN_S = 0.01
LISTENERS_PER_TURN = 25
TURNS_PER_ROUND = 40

log = structlog.get_logger()


class Product:
    """A product with listeners."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self.listeners = 0


class Listener:
    """One stream of server-sent events: an iterator over their bytes, registered with the feed until it is closed."""

    def __init__(self, feed: "StockFeed", value: Value, last_version: int | None) -> None:
        """`last_version` is the version that the client already knows."""
        self._feed = feed
        self._first = value
        self._due = asyncio.Event()
        self._product: Product | None = None
        self._version = last_version
        self._sent_at = 0.0

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> bytes:
        """Return the next event or heartbeat; the iterator ends when the server stops."""
        loop = asyncio.get_running_loop()
        if self._product is None:
            self._product = self._feed.add(self, self._first)
        else:
            await self._due.wait()
            self._due.clear()
        if self._feed.is_ended:
            raise StopAsyncIteration
        self._sent_at = loop.time()
        value = self._product.value
        if value.version == self._version:
            return b":\n\n"
        self._version = value.version
        return b"id: %d\ndata: %b\n\n" % (value.version, value.body)

    async def close(self) -> None:
        """Leave the feed."""
        if self._product is not None:
            self._feed.remove(self, self._product)
            self._product = None

    def is_behind(self) -> bool:
        """Whether the client does not have the current version."""
        return self._product is not None and self._version != self._product.value.version

    def wake(self) -> None:
        """Make the listener send the current value."""
        self._due.set()

    def wake_if_silent_since(self, moment: float) -> None:
        """Make the listener send a heartbeat if it has sent nothing since a moment in loop time."""
        if self._sent_at <= moment:
            self._due.set()


class StockFeed:
    """The listeners of a worker and the products that they listen to.

    read   a product's value out of MySQL, None for an unknown one
    cache  where changes are published
    """

    def __init__(self, read: Callable[[int], Awaitable[Value | None]], cache: ProductCache) -> None:
        self.is_ended = False
        self._read = read
        self._cache = cache
        self._products: dict[int, Product] = {}
        self._listeners: dict[Listener, None] = {}
        self._has_changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def listen(self, product_id: int, last_event_id: str) -> Listener | None:
        """Return a stream of a product's changes, or None for an unknown product.

        Raises Overloaded or DatabaseUnavailable.
        """
        value = await self._read(product_id)
        if value is None:
            return None
        return Listener(self, value, int(last_event_id) if ID.fullmatch(last_event_id) else None)

    def add(self, listener: Listener, value: Value) -> Product:
        """Register a listener whose stream begins; the first one starts the feed."""
        product = self._products.setdefault(value.product_id, Product(value))
        self._offer(value)
        product.listeners += 1
        self._listeners[listener] = None
        STREAM_LISTENERS.set(len(self._listeners))
        self._start()
        return product

    def remove(self, listener: Listener, product: Product) -> None:
        """Remove a listener; the last one stops the feed."""
        del self._listeners[listener]
        STREAM_LISTENERS.set(len(self._listeners))
        product.listeners -= 1
        if not product.listeners:
            del self._products[product.value.product_id]
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    def end(self) -> None:
        """End all streams, and new ones at once, because the server stops."""
        if self.is_ended:
            return
        self.is_ended = True
        for listener in self._listeners:
            listener.wake()

    def _start(self) -> None:
        if self._listeners and self._task is None:
            self._task = asyncio.create_task(self._run(), name="stock feed")
            self._task.add_done_callback(self._restart)

    def _restart(self, task: "asyncio.Task[None]") -> None:
        """Start the feed again after a defect in the feed itself."""
        if task is self._task and not task.cancelled():  # else the last listener has left, or the server stops
            log.error("stock_feed_failed", exc_info=task.exception())
            self._task = None
            asyncio.get_running_loop().call_later(RESTART_S, self._start)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_products())
            tasks.create_task(self._receive_changes())
            tasks.create_task(self._notify_listeners())

    async def _read_products(self) -> None:
        """Read the products from MySQL every READ_INTERVAL_S, and send heartbeats on silent connections."""
        while True:
            await asyncio.sleep(READ_INTERVAL_S)
            try:
                values = await asyncio.gather(*map(self._read, self._products))
            except (Overloaded, DatabaseUnavailable) as error:
                log.warning("stock_feed_degraded", error=type(error).__name__)
                values = []
            for value in values:
                if value is not None:
                    self._offer(value)
            silent_since = asyncio.get_running_loop().time() - HEARTBEAT_S
            for listener in self._listeners:
                listener.wake_if_silent_since(silent_since)

    async def _receive_changes(self) -> None:
        """Receive the values that any worker publishes, while Redis is available.

        A server keeps its subscribers when it becomes a replica, and need not tell them anything from then on. So no
        subscription lasts longer than SUBSCRIPTION_S; the next one is made with the server at the address by then.
        """
        loop = asyncio.get_running_loop()
        while True:
            subscription = self._cache.subscription()
            ends_at = loop.time() + SUBSCRIPTION_S
            try:
                while loop.time() < ends_at:
                    await subscription.subscribe(self._products.keys())
                    if value := await subscription.next(READ_INTERVAL_S):
                        self._offer(value)
            except RedisUnavailable:
                await asyncio.sleep(RESTART_S)
            finally:
                await subscription.close()

    async def _notify_listeners(self) -> None:
        """Wake the listeners that are behind, in rounds and a few at a time."""
        loop = asyncio.get_running_loop()
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            while behind := [listener for listener in self._listeners if listener.is_behind()]:
                next_round_at = loop.time() + min(LONGEST_ROUND_S, max(SHORTEST_ROUND_S, len(behind) / EVENTS_PER_S))
                size = max(LISTENERS_PER_TURN, math.ceil(len(behind) / TURNS_PER_ROUND))
                for start in range(0, len(behind), size):
                    for listener in behind[start : start + size]:
                        listener.wake()
                    await asyncio.sleep(TURN_S)
                await asyncio.sleep(next_round_at - loop.time())

    def _offer(self, value: Value) -> None:
        """Use a value if it is newer than the last one."""
        product = self._products.get(value.product_id)
        if product is not None and value.version > product.value.version:
            product.value = value
            self._has_changed.set()
