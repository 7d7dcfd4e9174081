"""The service's own Prometheus metrics.

Each worker counts in files of its own in PROMETHEUS_MULTIPROC_DIR, and `/metrics` adds them up. Labels are resolved
once per series, because looking up a series costs as much as counting.
"""

import os
import time
from collections import Counter as Tally
from collections.abc import Sequence
from functools import cache
from typing import Any

import falcon
import falcon.asgi
from prometheus_client import Counter, Gauge, Histogram, values

from service.errors import ERRORS

if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    # The client would ask the kernel for the process id several times per request.
    process_id = cache(os.getpid)
    os.register_at_fork(after_in_child=process_id.cache_clear)
    values.ValueClass = values.MultiProcessValue(process_id)  # type: ignore[no-untyped-call] # has no type hints

LATENCIES_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)

REQUEST_DURATION_SECONDS = Histogram(
    "checkout_http_request_duration_seconds",
    "Time from a request's arrival until its answer is sent; for a stream, until it begins.",
    ("method", "route", "status"),
    buckets=LATENCIES_S,
)
BATCH_REQUESTS = Histogram("checkout_batch_requests", "Requests in one CALL.", ("procedure",), buckets=SIZES)
BATCH_WAIT_SECONDS = Histogram(
    "checkout_batch_wait_seconds",
    "Time that the first request of a CALL waited in the queue.",
    ("procedure",),
    buckets=LATENCIES_S,
)
CALL_DURATION_SECONDS = Histogram(
    "checkout_call_duration_seconds",
    "Duration of a CALL, the update of the cache included.",
    ("procedure",),
    buckets=LATENCIES_S,
)
QUEUE_REQUESTS = Gauge("checkout_queue_requests", "Requests in the queue.", ("procedure",), multiprocess_mode="livesum")
QUEUE_LIMIT_REQUESTS = Gauge(
    "checkout_queue_limit_requests",
    "Most requests that may wait in the queue; the service refuses further ones.",
    ("procedure",),
    multiprocess_mode="livesum",
)
OUTCOMES = Counter(
    "checkout_outcomes",
    "Requests by outcome: accepted, replayed, the outcome of a payment, or the slug of a refusal.",
    ("procedure", "outcome"),
)
CALL_FAILURES = Counter(
    "checkout_call_failures",
    "Failed CALLs by errno; the service sends them again, splits them or gives up.",
    ("procedure", "errno"),
)
_CACHE_READS = Counter(
    "checkout_cache_reads",
    "Product reads by result: hit, miss, or degraded while the circuit breaker of Redis is open.",
    ("result",),
)
CACHE_HITS, CACHE_MISSES, CACHE_DEGRADED = (_CACHE_READS.labels(result) for result in ("hit", "miss", "degraded"))
CACHE_FAILURES = Counter("checkout_cache_failures", "Failed Redis commands.", ("act",))
EVENT_READERS = Gauge("checkout_event_readers", "Readers who wait for an event.", multiprocess_mode="livesum")
STREAM_LISTENERS = Gauge("checkout_stream_listeners", "Open stock streams.", multiprocess_mode="livesum")


class RequestMetrics:
    """Middleware: counts answers and their durations by method, route and status."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str | None, Any], Histogram] = {}

    async def process_request(self, req: falcon.asgi.Request, _resp: object) -> None:
        """Note when the request arrived."""
        req.context.started_at = time.monotonic()

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, _resource: object, _is_success: object
    ) -> None:
        """Count the answer with its duration."""
        key = (req.method, req.uri_template, resp.status)
        series = self._series.get(key)
        if series is None:
            # Clients can send any method; only known ones become series of their own.
            known = req.method in falcon.HTTP_METHODS
            method = req.method if known else "other"
            series = REQUEST_DURATION_SECONDS.labels(method, req.uri_template or "none", str(resp.status_code))
            if known:
                self._series[key] = series
        series.observe(time.monotonic() - req.context.started_at)


class BatchMetrics:
    """The metrics of one batcher."""

    def __init__(self, procedure: str, queue_limit: int) -> None:
        self._procedure = procedure
        self._requests = BATCH_REQUESTS.labels(procedure)
        self._wait_seconds = BATCH_WAIT_SECONDS.labels(procedure)
        self._call_seconds = CALL_DURATION_SECONDS.labels(procedure)
        self._queue = QUEUE_REQUESTS.labels(procedure)
        QUEUE_LIMIT_REQUESTS.labels(procedure).set(queue_limit)

    def observe_call(self, requests: int, wait_s: float, call_s: float) -> None:
        """Count an answered CALL."""
        self._requests.observe(requests)
        self._wait_seconds.observe(wait_s)
        self._call_seconds.observe(call_s)

    def observe_queue(self, requests: int) -> None:
        """Set the number of queued requests."""
        self._queue.set(requests)

    def count_failure(self, error: BaseException) -> None:
        """Count a failed CALL."""
        CALL_FAILURES.labels(self._procedure, str(getattr(error, "errno", None) or type(error).__name__)).inc()


def count_outcomes(procedure: str, answers: Sequence[Any]) -> None:
    """Count the requests of a batch by outcome. Rows have `errno` and `replayed`, and rows of payments `outcome`."""
    tally = Tally((answer.errno, answer.replayed, getattr(answer, "outcome", "accepted")) for answer in answers)
    for (errno, replayed, outcome), number in tally.items():
        OUTCOMES.labels(procedure, _outcome(errno, replayed, outcome)).inc(number)


def _outcome(errno: int | None, replayed: int, outcome: str) -> str:
    if errno is not None:
        return ERRORS[errno].slug
    return "replayed" if replayed else outcome
