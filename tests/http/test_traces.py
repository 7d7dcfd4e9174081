"""Traces: spans of requests, batches and calls, and their links; without an endpoint there are none."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from stack.process import free_port
from stack.servers import PROJECT, Servers
from tests.http.support import Service, hold_request
from tests.support import Session, eventually

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, CLIENT = 2, 3
ERROR = 2


class Span(NamedTuple):
    """The parts of a span that the tests check."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: set[str]
    status: int
    attributes: dict[str, Any]


class Collector(ThreadingHTTPServer):
    """A server that receives traces as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Intake)
        self.spans: list[Span] = []
        self.services: set[str] = set()

    @property
    def url(self) -> str:
        """The value for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, name: str, **attributes: Any) -> list[Span]:
        """The spans with this name and these attributes; _ stands for a dot in the names of attributes."""
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        return [span for span in list(self.spans) if span.name == name and wanted.items() <= span.attributes.items()]


class _Intake(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in body.resource_spans:
            self.server.services |= {
                value_of(one.value) for one in resource.resource.attributes if one.key == "service.name"
            }
            self.server.spans += [read(span) for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


def value_of(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def read(span: Any) -> Span:
    return Span(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        {link.span_id.hex() for link in span.links},
        span.status.code,
        {attribute.key: value_of(attribute.value) for attribute in span.attributes},
    )


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A running collector."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, args=(0.02,))
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def traced(start_service: Callable[..., Service], collector: Collector) -> Service:
    """A service that exports its spans at once."""
    return start_service(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="50",
        REQUEST_DEADLINE_S="3",
        WEB_CONCURRENCY="1",
    )


def the(spans: list[Span]) -> Span:
    (span,) = spans
    return span


def test_the_spans_of_a_hold_lead_from_its_request_to_its_call(
    traced: Service, collector: Collector, session: Session
) -> None:
    request = hold_request(session.create_product(stock=1), key="not to be told")
    request["headers"] |= {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "a-hold"}
    with traced.client() as client:
        assert client.request(**request).status_code == 201
    hold = the(eventually(lambda: collector.named("POST /api/holds", request_id="a-hold")))
    assert (hold.trace, hold.parent, hold.kind) == (TRACE, PARENT, SERVER)
    assert hold.attributes["http.response.status_code"] == 201
    batch = the(eventually(lambda: [span for span in collector.named("batch create_holds") if span.parent == hold.id]))
    assert (batch.trace, batch.links, hold.links) == (TRACE, {hold.id}, {batch.id})
    call = the(eventually(lambda: [span for span in collector.named("CALL create_holds") if span.parent == batch.id]))
    assert (call.trace, call.kind) == (TRACE, CLIENT)
    assert call.attributes == {
        "db.system.name": "mysql",
        "db.operation.name": "CALL",
        "db.stored_procedure.name": "create_holds",
    }
    assert collector.services == {"checkout"}
    assert "not to be told" not in str(collector.spans)


def test_a_batch_s_span_links_to_all_its_requests(traced: Service, collector: Collector, session: Session) -> None:
    product_id = session.create_product(stock=200)
    answers = traced.at_once([hold_request(product_id) for _ in range(200)])
    assert {answer.status_code for answer in answers} == {201}

    def spans() -> list[Span] | None:
        found = collector.named("POST /api/holds")
        return found if len(found) >= len(answers) else None

    requests = eventually(spans)
    batches = [span for span in collector.named("batch create_holds") if span.attributes["batch.requests"] > 1]
    assert batches
    for batch in batches:
        members = [span for span in requests if batch.id in span.links]
        assert batch.links == {span.id for span in members}
        assert batch.attributes["batch.requests"] == len({span.trace for span in members})
        assert batch.parent in batch.links


def test_the_span_of_a_503_is_an_error(traced: Service, collector: Collector, servers: Servers) -> None:
    servers.mysql.pause()
    try:
        with traced.client() as client:
            assert client.get("/api/products?after=7").status_code == 503
    finally:
        servers.mysql.resume()
    page = the(eventually(lambda: collector.named("GET /api/products")))
    assert (page.status, page.attributes["http.response.status_code"]) == (ERROR, 503)


@pytest.mark.parametrize("traceparent", ["", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", "x" * 5000, "00-" + "é" * 32])
def test_an_invalid_traceparent_starts_a_new_trace(traced: Service, collector: Collector, traceparent: str) -> None:
    seen = len(collector.named("GET /healthz"))
    with traced.client() as client:
        assert client.get("/healthz", headers={"traceparent": traceparent.encode()}).status_code == 200
    span = eventually(lambda: collector.named("GET /healthz")[seen:])[0]
    assert span.parent == ""


def test_the_sampler_is_respected(
    start_service: Callable[..., Service], collector: Collector, session: Session
) -> None:
    service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_TRACES_SAMPLER="always_off")
    sent = len(collector.spans)
    with service.client() as client:
        assert client.request(**hold_request(session.create_product(stock=1))).status_code == 201
    service.stop()
    assert len(collector.spans) == sent


def test_an_unreachable_collector_disturbs_neither_requests_nor_the_stop(
    start_service: Callable[..., Service], session: Session
) -> None:
    service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}", OTEL_BSP_SCHEDULE_DELAY="50")
    with service.client() as client:
        for _ in range(3):
            assert client.request(**hold_request(session.create_product(stock=1))).status_code == 201
    service.stop()
    assert service.exit_code() == 0
    assert service.text().count("Worker exiting") == 2, "a worker was killed"


def test_without_an_endpoint_the_tracing_module_is_not_imported() -> None:
    program = (
        "import sys; from service.app import create_app; from service.settings import Settings;"
        "create_app(Settings(mysql_url='mysql://nobody@127.0.0.1/x', redis_url='redis://127.0.0.1'));"
        "sys.exit('service.tracing' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT).returncode == 0
