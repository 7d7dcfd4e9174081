"""What the service counts of itself.

Each worker counts in files of its own (PROMETHEUS_MULTIPROC_DIR, see gunicorn.conf.py), which `/metrics` adds up.
Labels are resolved once: to look a series up costs as much as to count.
"""

import time
from collections import Counter as Tally
from collections.abc import Sequence
from typing import Any

import falcon
import falcon.asgi
from prometheus_client import Counter, Gauge, Histogram

from service.errors import ERRORS

LATENCIES_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)

REQUEST_DURATION_SECONDS = Histogram(
    "checkout_http_request_duration_seconds",
    "From a request's arrival until its answer leaves; a stream's until it begins.",
    ("method", "route", "status"),
    buckets=LATENCIES_S,
)
BATCH_REQUESTS = Histogram("checkout_batch_requests", "Requests that a CALL carried.", ("procedure",), buckets=SIZES)
BATCH_WAIT_SECONDS = Histogram(
    "checkout_batch_wait_seconds",
    "What the first request of a CALL had waited for it.",
    ("procedure",),
    buckets=LATENCIES_S,
)
CALL_DURATION_SECONDS = Histogram(
    "checkout_call_duration_seconds",
    "What a CALL took, the cache's part included.",
    ("procedure",),
    buckets=LATENCIES_S,
)
QUEUE_REQUESTS = Gauge(
    "checkout_queue_requests", "Requests that wait for a CALL.", ("procedure",), multiprocess_mode="livesum"
)
QUEUE_LIMIT_REQUESTS = Gauge(
    "checkout_queue_limit_requests",
    "Requests that may wait; one more is refused.",
    ("procedure",),
    multiprocess_mode="livesum",
)
OUTCOMES = Counter(
    "checkout_outcomes",
    "What became of requests: accepted, replayed, a payment's outcome, or the error that they were refused with.",
    ("procedure", "outcome"),
)
CALL_FAILURES = Counter(
    "checkout_call_failures", "CALLs that failed, and were sent again, split or given up.", ("procedure", "errno")
)
_CACHE_READS = Counter(
    "checkout_cache_reads", "Reads of a product: hit, miss, or degraded while Redis is away.", ("result",)
)
CACHE_HITS, CACHE_MISSES, CACHE_DEGRADED = (_CACHE_READS.labels(result) for result in ("hit", "miss", "degraded"))
CACHE_FAILURES = Counter("checkout_cache_failures", "Failures of Redis.", ("act",))
STREAM_LISTENERS = Gauge("checkout_stream_listeners", "Open streams of stock.", multiprocess_mode="livesum")


class RequestMetrics:
    """Middleware: counts and times every answer by its route and status."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str | None, Any], Histogram] = {}

    async def process_request(self, req: falcon.asgi.Request, _resp: object) -> None:
        """Start the clock."""
        req.context.started_at = time.monotonic()

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, _resource: object, _is_success: object
    ) -> None:
        """Stop the clock."""
        key = (req.method, req.uri_template, resp.status)
        series = self._series.get(key)
        if series is None:
            # Anybody may make methods up: only known ones become series.
            known = req.method in falcon.HTTP_METHODS
            method = req.method if known else "other"
            series = REQUEST_DURATION_SECONDS.labels(method, req.uri_template or "none", str(resp.status_code))
            if known:
                self._series[key] = series
        series.observe(time.monotonic() - req.context.started_at)


class BatchMetrics:
    """The figures of one batcher."""

    def __init__(self, procedure: str, queue_limit: int) -> None:
        self._procedure = procedure
        self._requests = BATCH_REQUESTS.labels(procedure)
        self._wait_seconds = BATCH_WAIT_SECONDS.labels(procedure)
        self._call_seconds = CALL_DURATION_SECONDS.labels(procedure)
        self._queue = QUEUE_REQUESTS.labels(procedure)
        QUEUE_LIMIT_REQUESTS.labels(procedure).set(queue_limit)

    def observe_call(self, requests: int, wait_s: float, call_s: float) -> None:
        """Take note of a CALL that was answered."""
        self._requests.observe(requests)
        self._wait_seconds.observe(wait_s)
        self._call_seconds.observe(call_s)

    def observe_queue(self, requests: int) -> None:
        """Take note of how many wait now."""
        self._queue.set(requests)

    def count_failure(self, error: BaseException) -> None:
        """Count a CALL that failed."""
        CALL_FAILURES.labels(self._procedure, str(getattr(error, "errno", None) or type(error).__name__)).inc()


def count_outcomes(procedure: str, answers: Sequence[Any]) -> None:
    """Count what became of a batch's requests; an answer has `errno`, `replayed`, and a payment's its `outcome`."""
    tally = Tally((answer.errno, answer.replayed, getattr(answer, "outcome", "accepted")) for answer in answers)
    for (errno, replayed, outcome), number in tally.items():
        OUTCOMES.labels(procedure, _outcome(errno, replayed, outcome)).inc(number)


def _outcome(errno: int | None, replayed: int, outcome: str) -> str:
    if errno is not None:
        return ERRORS[errno].slug
    return "replayed" if replayed else outcome
