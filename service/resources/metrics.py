"""What Prometheus scrapes."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC

import falcon.asgi
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from service.errors import DatabaseUnavailable, Overloaded
from service.procedure_client import ProcedureClient
from service.rows import DatabaseMetrics


class MetricsResource:
    """`/metrics`: what all workers counted, and what one of them reads of MySQL now."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Prometheus's text format."""
        try:
            found = await self._procedures.get_metrics(None)
        except (Overloaded, DatabaseUnavailable):
            found = None
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # has no type hints
        registry.register(DatabaseCollector(found))
        # Adding up takes milliseconds: requests need not wait for it.
        resp.data = await asyncio.to_thread(generate_latest, registry)
        resp.content_type = CONTENT_TYPE_PLAIN_0_0_4

    on_head = on_get


class DatabaseCollector(Collector):
    """The figures of get_metrics; without them only that MySQL is away."""

    def __init__(self, found: DatabaseMetrics | None) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Everything as Prometheus wants it."""
        yield _gauge("mysql_up", "Whether MySQL answered this scrape.", self._found is not None)
        if self._found is None:
            return
        health, figures, stock = self._found
        checked_at = figures.stock_checked_at
        yield _gauge("sweep_lag_seconds", "Age of the oldest due hold that nobody has released.", health.sweep_lag_s)
        yield _family(
            CounterMetricFamily(
                "checkout_expirations", "Holds and unpaid orders whose time was over.", labels=["kind"]
            ),
            [("hold", figures.holds_expired), ("order", figures.orders_expired)],
        )
        yield _gauge("refunds_due", "Payments that have to go back.", figures.refunds_due)
        yield _gauge(
            "payments_to_review", "Disputed payments and payments of a wrong amount.", figures.payments_to_review
        )
        yield _gauge("payments_waiting", "Payments whose order does not exist yet.", figures.payments_waiting)
        yield _gauge(
            "stock_differences", "Products whose stock differed when it was last checked.", figures.stock_differences
        )
        yield _gauge(
            "stock_checked_timestamp_seconds",
            "When stock was last checked; 0: never.",
            checked_at.replace(tzinfo=UTC).timestamp() if checked_at else 0,
        )
        yield _family(
            _by_product("stock_total_units", "Units of the 1,000 newest products, whatever became of them."),
            [(str(product.product_id), product.total_stock) for product in stock],
        )
        yield _family(
            _by_product("stock_available_units", "Units of the 1,000 newest products that may be held."),
            [(str(product.product_id), product.available_stock) for product in stock],
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"checkout_{name}", text, value=value)


def _by_product(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"checkout_{name}", text, labels=["product_id"])


def _family(family: CounterMetricFamily | GaugeMetricFamily, samples: Sequence[tuple[str, float]]) -> Metric:
    for label, value in samples:
        family.add_metric([label], value)
    return family
