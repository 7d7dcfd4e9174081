"""Metrics for Prometheus."""

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
from service.rows import DatabaseMetrics, EventReceiver, Member


class MetricsResource:
    """`/metrics`: the counts of all workers, and current figures of MySQL."""

    def __init__(self, procedures: ProcedureClient, mysql_hosts: int) -> None:
        self._procedures = procedures
        self._mysql_hosts = mysql_hosts

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer in Prometheus's text format; without MySQL, `checkout_mysql_up` is 0 and its figures are missing."""
        try:
            found = await self._procedures.get_metrics(None)
        except (Overloaded, DatabaseUnavailable):
            found = None
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # has no type hints
        registry.register(DatabaseCollector(found, self._mysql_hosts))
        # In a thread, because adding up takes milliseconds in which requests would wait.
        resp.data = await asyncio.to_thread(generate_latest, registry)
        resp.content_type = CONTENT_TYPE_PLAIN_0_0_4

    on_head = on_get


class DatabaseCollector(Collector):
    """The figures of get_metrics; without figures only `checkout_mysql_up 0`."""

    def __init__(self, found: DatabaseMetrics | None, mysql_hosts: int) -> None:
        self._found = found
        self._mysql_hosts = mysql_hosts

    def collect(self) -> Iterable[Metric]:
        """Yield all figures as metrics."""
        yield _gauge("mysql_up", "Whether MySQL answered this scrape.", self._found is not None)
        yield _gauge("mysql_hosts", "Hosts that MYSQL_URL names.", self._mysql_hosts)
        if self._found is None:
            return
        health, figures, stock, members, receivers = self._found
        checked_at = figures.stock_checked_at
        yield _gauge("sweep_lag_seconds", "Age of the oldest due hold that no sweep has released.", health.sweep_lag_s)
        yield _gauge(
            "sweep_event_enabled", "Whether MySQL runs the EVENT that sweeps due holds.", health.is_sweep_enabled
        )
        yield _family(
            CounterMetricFamily(
                "checkout_expirations", "Holds and unpaid orders that passed their deadline.", labels=["kind"]
            ),
            [("hold", figures.holds_expired), ("order", figures.orders_expired)],
        )
        yield _gauge("refunds_due", "Payments that have to be refunded.", figures.refunds_due)
        yield _gauge(
            "payments_to_review", "Disputed payments and payments of a wrong amount.", figures.payments_to_review
        )
        yield _gauge("payments_waiting", "Payments whose order does not exist yet.", figures.payments_waiting)
        yield CounterMetricFamily(
            "checkout_events", "Events that have a position, since the first deploy.", value=figures.last_event_position
        )
        yield _gauge("stock_differences", "Products whose stock differed in the last check.", figures.stock_differences)
        yield _gauge(
            "stock_checked_timestamp_seconds",
            "Unix time of the last stock check; 0: never.",
            checked_at.replace(tzinfo=UTC).timestamp() if checked_at else 0,
        )
        yield _family(
            _by_product(
                "stock_total_units", "Total units of the 1,000 newest products: available, held, pending and sold."
            ),
            [(str(product.product_id), product.total_stock) for product in stock],
        )
        yield _family(
            _by_product("stock_available_units", "Available units of the 1,000 newest products."),
            [(str(product.product_id), product.available_stock) for product in stock],
        )
        yield from _event_receivers(receivers)
        yield from _group(members, figures.flow_control_throttles)


def _event_receivers(receivers: Sequence[EventReceiver]) -> Iterable[Metric]:
    """How far the receivers of events are behind; no samples where there is none."""
    lag = GaugeMetricFamily(
        "checkout_event_receiver_lag_seconds",
        "Age of the oldest event that a receiver has not accepted; state: active, failing, paused, or gone (410).",
        labels=["receiver", "state"],
    )
    for receiver in receivers:
        lag.add_metric([str(receiver.receiver_id), receiver.delivery_state], receiver.lag_s)
    yield lag
    for name, text in (
        ("events_retried", "Events that wait until they are sent again."),
        ("events_set_aside", "Events that failed for three days and are not sent any more."),
    ):
        yield _family(
            GaugeMetricFamily(f"checkout_{name}", text, labels=["receiver"]),
            [(str(receiver.receiver_id), getattr(receiver, name)) for receiver in receivers],
        )


def _group(members: Sequence[Member], throttles: int | None) -> Iterable[Metric]:
    """The replication group; no samples where there is none."""
    family = GaugeMetricFamily(
        "checkout_group_members", "Members of the replication group, 1 each.", labels=["member", "state", "role"]
    )
    for member in members:
        family.add_metric([member.member, member.state, member.role], 1)
    yield family
    for name in ("certifier", "applier"):
        yield _family(
            GaugeMetricFamily(
                f"checkout_group_{name}_queue_transactions",
                f"Transactions that wait for the {name} of a member.",
                labels=["member"],
            ),
            [(member.member, getattr(member, f"{name}_queue")) for member in members],
        )
    if throttles is not None:
        yield CounterMetricFamily(
            "checkout_group_flow_control_throttles",
            "Transactions that flow control delayed since the primary started.",
            value=throttles,
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"checkout_{name}", text, value=value)


def _by_product(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"checkout_{name}", text, labels=["product_id"])


def _family(family: CounterMetricFamily | GaugeMetricFamily, samples: Sequence[tuple[str, float]]) -> Metric:
    for label, value in samples:
        family.add_metric([label], value)
    return family
