"""`/metrics`: sums over all workers, and current figures of MySQL."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.servers import Servers
from tests.http.support import Service, Shop, hold_request, payment_request
from tests.support import Session, eventually

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Metrics:
    """Reads a service's metrics by name and labels."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def read(self) -> Samples:
        """All samples of a scrape."""
        with self._service.client() as client:
            response = client.get("/metrics")
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 if there is none."""
        return self.read().get((f"checkout_{name}", frozenset(labels.items())), 0.0)


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with the usual deadline, until which a scrape waits for a frozen MySQL."""
    return start_service()


@pytest.fixture(scope="module")
def metrics(service: Service) -> Metrics:
    """The metrics of the file's service."""
    return Metrics(service)


def requests(metrics: Metrics, method: str, route: str, status: int) -> float:
    """The number of requests with this method, route and status."""
    return metrics.value("http_request_duration_seconds_count", method=method, route=route, status=str(status))


def test_requests_of_all_workers_are_added_up_by_route_and_status(
    service: Service, session: Session, metrics: Metrics
) -> None:
    product_id = session.create_product(stock=150)
    before = requests(metrics, "POST", "/api/holds", 201), requests(metrics, "POST", "/api/holds", 409)
    answers = service.at_once([hold_request(product_id)] * 200)
    assert sorted(answer.status_code for answer in answers) == [201] * 150 + [409] * 50
    after = requests(metrics, "POST", "/api/holds", 201), requests(metrics, "POST", "/api/holds", 409)
    assert (after[0] - before[0], after[1] - before[1]) == (150, 50)


def test_unknown_paths_and_methods_share_one_label(client: httpx.Client, metrics: Metrics) -> None:
    for number in range(3):
        assert client.get(f"/nowhere/{number}").status_code == 404
        client.request(f"METHOD{number}", "/healthz")
    assert requests(metrics, "GET", "none", 404) == 3
    methods = {dict(labels).get("method", "other") for _, labels in metrics.read()}
    assert not {method for method in methods if method.startswith("METHOD")}


def test_outcomes_are_counted_by_procedure_and_slug(shop: Shop, session: Session, metrics: Metrics) -> None:
    def outcomes() -> list[float]:
        return [
            metrics.value("outcomes_total", procedure=procedure, outcome=outcome)
            for procedure, outcome in (
                ("create_holds", "accepted"),
                ("create_holds", "replayed"),
                ("create_holds", "insufficient_stock"),
                ("create_holds", "product_not_found"),
                ("create_orders", "accepted"),
                ("create_orders", "hold_already_used"),
                ("apply_payments", "applied"),
                ("apply_payments", "replayed"),
                ("apply_payments", "waiting"),
                ("cancel_orders", "order_already_paid"),
                ("refund_orders", "accepted"),
                ("refund_orders", "refund_exceeds_order"),
            )
        ]

    product_id = session.create_product(stock=2)
    before = outcomes()
    hold = hold_request(product_id, 2, "metrics")
    hold_id = shop.client.request(**hold).json()["hold_id"]
    shop.client.request(**hold)
    shop.client.request(**hold_request(product_id))
    shop.client.request(**hold_request(10**9))
    order_id = shop.order(hold_id)
    shop.client.post("/api/orders", json={"hold_id": hold_id})
    shop.pay("metrics", order_id)
    shop.pay("metrics", order_id)
    shop.client.request(**payment_request("metrics waits", 10**9))
    shop.client.post(f"/api/orders/{order_id}/cancel")
    for _ in range(2):
        shop.client.post(f"/api/orders/{order_id}/refunds", json={"restock": True})
    assert [after - earlier for after, earlier in zip(outcomes(), before, strict=True)] == [1] * 12


def test_batches_are_observed_by_size_wait_and_duration(service: Service, session: Session, metrics: Metrics) -> None:
    def figures() -> dict[str, float]:
        names = (
            "batch_requests_sum",
            "batch_requests_count",
            "batch_wait_seconds_count",
            "call_duration_seconds_count",
        )
        return {name: metrics.value(name, procedure="create_holds") for name in names}

    before = figures()
    service.at_once([hold_request(session.create_product(stock=300))] * 300)
    told = {name: value - before[name] for name, value in figures().items()}
    assert told["batch_requests_sum"] == 300
    assert 2 <= told["batch_requests_count"] < 300
    assert told["batch_requests_count"] == told["batch_wait_seconds_count"] == told["call_duration_seconds_count"]


def test_queue_requests_is_the_number_of_waiting_requests(
    start_service: Callable[..., Service], session: Session, connect: Callable[[], Session]
) -> None:
    """A DBA's lock delays the first call, so that the other requests wait."""
    service = start_service(WEB_CONCURRENCY="1", QUEUE_LIMIT="100", REQUEST_DEADLINE_S="10")
    metrics, dba = Metrics(service), connect()
    product_id = session.create_product(stock=10)
    assert metrics.value("queue_limit_requests", procedure="create_holds") == 100
    dba.execute("LOCK TABLES products WRITE")
    waiting = "SELECT 1 FROM performance_schema.processlist WHERE state = 'Waiting for table metadata lock'"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.at_once, [hold_request(product_id)])
        eventually(lambda: dba.query(waiting))
        others = pool.submit(service.at_once, [hold_request(product_id)] * 3)
        eventually(lambda: metrics.value("queue_requests", procedure="create_holds") == 3)
        dba.execute("UNLOCK TABLES")
        assert [answer.status_code for answer in first.result() + others.result()] == [201] * 4
    eventually(lambda: metrics.value("queue_requests", procedure="create_holds") == 0)


def test_failed_calls_are_counted_by_errno(
    service: Service, session: Session, connect: Callable[[], Session], metrics: Metrics
) -> None:
    dba = connect()
    product_id = session.create_product(stock=1)
    dba.execute("START TRANSACTION")
    dba.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(service.at_once, [hold_request(product_id)])
        eventually(lambda: metrics.value("call_failures_total", procedure="create_holds", errno="1205"))
        dba.execute("COMMIT")
        answers.result()


def test_cache_reads_are_counted_as_hit_miss_or_degraded(
    shop: Shop, session: Session, metrics: Metrics, servers: Servers
) -> None:
    product_id = session.create_product(stock=1)
    reads = 0

    def read_counts() -> dict[str, float]:
        return {result: metrics.value("cache_reads_total", result=result) for result in ("hit", "miss", "degraded")}

    def is_counted_as(result: str) -> bool:
        """Whether a read is counted as this result. On a slow machine, a value may be stale by then, or Redis late."""
        nonlocal reads
        reads += 1
        shop.available(product_id)
        return read_counts()[result] > before[result]

    before = read_counts()
    eventually(lambda: is_counted_as("miss"))
    eventually(lambda: is_counted_as("hit"))
    servers.redis.pause()
    try:
        eventually(lambda: is_counted_as("degraded"))
    finally:
        servers.redis.resume()
    assert sum(read_counts().values()) - sum(before.values()) == reads
    assert metrics.value("cache_failures_total", act="read") >= 1


def test_figures_of_mysql_are_current(session: Session, shop: Shop, metrics: Metrics) -> None:
    product_id = session.create_product(stock=9)
    order_id = shop.ordered(product_id, 2)
    session.call("cancel_order", order_id)
    due = metrics.value("refunds_due")
    shop.pay("metrics too late", order_id)
    shop.pay("metrics disputed", order_id, "disputed")
    shop.hold(product_id, 4)
    expired = metrics.value("expirations_total", kind="hold")
    session.travel(1000)
    session.call("expire_due", 1000)
    session.travel(0)
    shop.hold(product_id, 3)
    session.call_all("record_stock_check", 2)
    assert metrics.value("mysql_up") == 1
    assert metrics.value("refunds_due") == due + 1
    assert metrics.value("payments_to_review") == len(session.query("SELECT 1 FROM payments_to_review")) == 1
    assert metrics.value("payments_waiting") == len(session.query("SELECT 1 FROM waiting_payments"))
    assert metrics.value("expirations_total", kind="hold") > expired
    assert metrics.value("expirations_total", kind="order") >= 0
    assert metrics.value("sweep_lag_seconds") == 0
    assert metrics.value("sweep_event_enabled") == 0
    assert metrics.value("mysql_hosts") == 1
    assert metrics.value("stock_differences") == 2
    assert abs(metrics.value("stock_checked_timestamp_seconds") - datetime.now(UTC).timestamp()) < 60
    assert metrics.value("stock_available_units", product_id=str(product_id)) == 6
    assert metrics.value("stock_total_units", product_id=str(product_id)) == 9


def test_without_mysql_the_workers_metrics_are_still_served(
    metrics: Metrics, client: httpx.Client, servers: Servers
) -> None:
    client.get("/healthz")
    servers.mysql.pause()
    try:
        told = metrics.read()
    finally:
        servers.mysql.resume()
    assert told["checkout_mysql_up", frozenset()] == 0
    assert ("checkout_refunds_due", frozenset()) not in told
    assert any(name == "checkout_http_request_duration_seconds_count" for name, _ in told)


def test_counters_of_a_dead_worker_remain_and_its_gauges_go(start_service: Callable[..., Service]) -> None:
    service = start_service()
    metrics = Metrics(service)
    service.at_once([{"method": "GET", "url": "/healthz"}] * 8)
    workers = service.workers()
    for worker in workers:
        os.kill(worker, SIGKILL)
    eventually(lambda: len(service.workers() - workers) == 2)
    eventually(lambda: metrics.value("queue_limit_requests", procedure="create_holds") == 2 * 8192)
    assert requests(metrics, "GET", "/healthz", 200) == 8


def test_the_folder_of_metrics_is_removed_at_the_stop(start_service: Callable[..., Service]) -> None:
    service = start_service()
    (folder,) = {
        Path(line.split()[-1]).parent
        for worker in service.workers()
        for line in Path(f"/proc/{worker}/maps").read_text().splitlines()
        if line.endswith(".db")
    }
    service.stop()
    assert not folder.exists()
