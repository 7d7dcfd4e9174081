"""The client of the stored procedures: one batcher and one connection for each of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import msgspec

from service.batching import Batcher, Entry
from service.cache import ProductCache, Value, connect_redis
from service.database import Connection, Row, classify, find_rows, reason, rows_of
from service.errors import DatabaseUnavailable, Overloaded
from service.metrics import CACHE_DEGRADED, CACHE_HITS, CACHE_MISSES, count_outcomes
from service.mysql_url import MysqlUrl
from service.primary import Primary
from service.rows import (
    AppliedPayment,
    CancelledOrder,
    CreatedHold,
    CreatedOrder,
    CreatedRefund,
    DatabaseMetrics,
    Event,
    EventPage,
    EventPositions,
    EventReceiver,
    ExtendedHold,
    Figures,
    FoundEvents,
    Health,
    Hold,
    Member,
    Order,
    OrderRequest,
    Product,
    ReducedHold,
    ReleasedHold,
    ScopedId,
    StartedPayment,
    Stock,
)
from service.settings import Settings

READ_BATCH_LIMIT = 1000  # elements; require_batch refuses more
SWEEP_RETRY_S = 1
PRIMARY_PATIENCE_S = 0.25  # of one attempt: three, and those of the batch before, fit into a request's deadline


def cached_values(products: list[Product]) -> list[Value]:
    """Return the values of products for the cache, none for unknown ones."""
    return [Value(product.id, product.version, product.body()) for product in products if product.id is not None]


def first_hold(request: OrderRequest) -> int | None:
    """The lock group of an order: of its holds, the one that it locks first."""
    return min(request.hold_ids) if request.hold_ids else request.hold_id


class ProcedureClient:
    """One batcher and one connection for every procedure that the service calls."""

    batcher_class: type[Batcher[Any, Any]] = Batcher
    connection_class: type[Connection] = Connection

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._primary = Primary(
            MysqlUrl.parse(settings.mysql_url),
            patience_s=PRIMARY_PATIENCE_S,
            when_found=self._begin_to_enable_sweep,
        )
        self.cache = ProductCache(connect_redis(settings.redis_url))
        self._turn = asyncio.Lock()
        self._connections: list[Connection] = []
        self._batchers: list[Batcher[Any, Any]] = []

        self.create_hold = self._mutation("create_holds", CreatedHold, lambda request: request.product_id)
        self.create_order = self._mutation("create_orders", CreatedOrder, first_hold)
        self.apply_payment = self._mutation(
            "apply_payments", AppliedPayment, lambda event: event.order_id or event.payment_id
        )
        self.release_hold = self._mutation("release_holds", ReleasedHold, lambda request: request.id)
        self.reduce_hold = self._mutation("reduce_holds", ReducedHold, lambda request: request.id)
        self.extend_hold = self._mutation("extend_holds", ExtendedHold, lambda request: request.id)
        self.cancel_order = self._mutation("cancel_orders", CancelledOrder, lambda request: request.id)
        self.refund_order = self._mutation("refund_orders", CreatedRefund, lambda request: request.order_id)
        self.start_payment = self._mutation("start_payments", StartedPayment, lambda request: request.id)
        self.get_hold = self._read("get_holds", Hold)
        self.get_order = self._read("get_orders", Order)
        self.get_product_body = self._batch("get_products", self._send_products, READ_BATCH_LIMIT)
        self.read_product = self._batch("read_products", self._send_values, READ_BATCH_LIMIT)
        self.list_orders = self._page("list_orders", Order)
        self.list_products = self._page("list_products", Product)
        self.list_events = self._batch("list_events", self._send_events, READ_BATCH_LIMIT)
        self.get_health = self._batch("get_health", self._send_health, READ_BATCH_LIMIT)
        self.get_metrics = self._batch("get_metrics", self._send_metrics, READ_BATCH_LIMIT)
        self._enable_sweep = self._batch("enable_sweep", self._send_enable_sweep, 1)
        self._enabling_sweep: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Answer what is queued, then close every connection."""
        if self._enabling_sweep is not None:
            self._enabling_sweep.cancel()
        await asyncio.gather(*(batcher.drain() for batcher in self._batchers))
        await asyncio.gather(*(connection.close() for connection in self._connections))
        await self._primary.close()
        await self.cache.close()

    def _begin_to_enable_sweep(self) -> None:
        """Have the EVENT run on the primary that was just found: on a secondary it is disabled."""
        if self._enabling_sweep is not None:
            self._enabling_sweep.cancel()
        self._enabling_sweep = asyncio.create_task(self._enable_sweep_until_done(), name="enable the sweep")

    async def _enable_sweep_until_done(self) -> None:
        while True:
            try:
                await self._enable_sweep(None)
            except (DatabaseUnavailable, Overloaded):
                await asyncio.sleep(SWEEP_RETRY_S)
            else:
                return

    def _batch(
        self,
        procedure: str,
        send: "Callable[[Connection, list[Any]], Awaitable[list[Any]]]",
        batch_limit: int,
        lock_group: Callable[[Any], Hashable] = lambda _request: None,
        turn: asyncio.Lock | None = None,
    ) -> Callable[[Any], Entry[Any, Any]]:
        connection = self.connection_class(self._primary)

        async def send_aside(requests: list[Any]) -> list[Any]:
            extra = self.connection_class(self._primary)
            try:
                return await send(extra, requests)
            finally:
                await extra.close()

        batcher = self.batcher_class(
            procedure,
            lambda requests: send(connection, requests),
            classify,
            reason=reason,
            send_aside=send_aside,
            lock_group=lock_group,
            turn=turn,
            batch_limit=batch_limit,
            queue_limit=self._settings.queue_limit,
            deadline_s=self._settings.request_deadline_s,
        )
        self._connections.append(connection)
        self._batchers.append(batcher)
        return batcher.submit

    def _mutation(
        self, procedure: str, row_type: type[Row], lock_group: Callable[[Any], Hashable]
    ) -> Callable[[Any], Entry[Any, Row]]:
        """Batch requests for a procedure that returns one row per request, then the products whose stock it changed."""

        async def send(connection: Connection, requests: list[Any]) -> list[Row]:
            started_at = time.monotonic()
            rows, *others = await connection.call(procedure, msgspec.json.encode(requests).decode())
            # Published before the answers, so that a client that got its answer reads the change from any worker.
            touched = find_rows(Product, others)
            await self.cache.publish(cached_values(touched), time.monotonic() - started_at)
            answers = rows_of(row_type, rows)
            count_outcomes(procedure, answers)
            return answers

        return self._batch(procedure, send, self._settings.batch_limit, lock_group, self._turn)

    def _read(self, procedure: str, row_type: type[Row]) -> Callable[[ScopedId], Entry[ScopedId, Row]]:
        """Batch the ids for a procedure that returns one row per id."""

        async def send(connection: Connection, requests: list[ScopedId]) -> list[Row]:
            rows, *_ = await connection.call(procedure, msgspec.json.encode(requests).decode())
            return rows_of(row_type, rows)

        return self._batch(procedure, send, READ_BATCH_LIMIT)

    def _page(self, procedure: str, row_type: type[Row]) -> Callable[[Any], Entry[Any, list[Row]]]:
        """Queue the pages of a procedure that returns one page of rows per call."""

        async def send(connection: Connection, pages: list[Any]) -> list[list[Row]]:
            (page,) = pages
            rows, *_ = await connection.call(procedure, *page)
            return [rows_of(row_type, rows)]

        return self._batch(procedure, send, 1)

    async def _send_products(self, connection: Connection, product_ids: list[int]) -> list[bytes | None]:
        """The bodies of products, None for unknown ones: from the cache, and what is not fresh there from MySQL."""
        wanted = list(dict.fromkeys(product_ids))
        bodies = await self.cache.read(wanted)
        missing = [product_id for product_id in wanted if product_id not in bodies]
        self._count_reads(product_ids, bodies)
        if missing:
            _, published = await self._fetch_products(connection, missing)
            bodies |= published
        return [bodies.get(product_id) for product_id in product_ids]

    async def _send_values(self, connection: Connection, product_ids: list[int]) -> list[Value | None]:
        """Return the values of products from MySQL, None for unknown ones, and publish them in the cache."""
        fetched, _ = await self._fetch_products(connection, list(dict.fromkeys(product_ids)))
        values = {value.product_id: value for value in fetched}
        return [values.get(product_id) for product_id in product_ids]

    async def _fetch_products(
        self, connection: Connection, product_ids: list[int]
    ) -> tuple[list[Value], dict[int, bytes]]:
        """Read products from MySQL and publish them; returns what was read, and the bodies to serve."""
        started_at = time.monotonic()
        rows, *_ = await connection.call("get_products", msgspec.json.encode(product_ids).decode())
        values = cached_values(rows_of(Product, rows))
        return values, await self.cache.publish(values, time.monotonic() - started_at)

    def _count_reads(self, product_ids: list[int], bodies: dict[int, bytes]) -> None:
        hits = sum(product_id in bodies for product_id in product_ids)
        CACHE_HITS.inc(hits)
        (CACHE_DEGRADED if self.cache.is_circuit_open() else CACHE_MISSES).inc(len(product_ids) - hits)

    async def _send_events(self, connection: Connection, pages: list[EventPage]) -> list[FoundEvents]:
        """Return pages of events; each different page is read once."""
        found: dict[EventPage, FoundEvents] = {}
        for page in dict.fromkeys(pages):
            rows, *others = await connection.call("list_events", *page)
            (positions,) = find_rows(EventPositions, others)
            found[page] = FoundEvents(rows_of(Event, rows), positions)
        return [found[page] for page in pages]

    async def _send_health(self, connection: Connection, requests: list[None]) -> list[Health]:
        rows, *_ = await connection.call("get_health")
        return rows_of(Health, rows) * len(requests)

    async def _send_enable_sweep(self, connection: Connection, requests: list[None]) -> list[None]:
        await connection.call("enable_sweep")
        return requests

    async def _send_metrics(self, connection: Connection, requests: list[None]) -> list[DatabaseMetrics]:
        result_sets = await connection.call("get_metrics")
        (health,), (figures,) = find_rows(Health, result_sets), find_rows(Figures, result_sets)
        stock, members = find_rows(Stock, result_sets), find_rows(Member, result_sets)
        receivers = find_rows(EventReceiver, result_sets)
        return [DatabaseMetrics(health, figures, stock, members, receivers)] * len(requests)
