"""OpenTelemetry traces: a span per request, per batch, and per CALL of a batch.

Imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set; the SDK reads the other OTEL_ variables itself. Spans contain no
bodies, keys or addresses of clients.
"""

import asyncio
import threading
from typing import Any

import falcon.asgi
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.batching import Batcher, Entry
from service.database import Connection, ResultSets
from service.procedure_client import ProcedureClient
from service.settings import Settings, load_environment

SERVER_ERROR = 500
FLUSH_TIMEOUT_S = 2

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("service")


class RequestSpans:
    """Middleware: one span per request, in the trace that the request's `traceparent` names."""

    async def process_request(self, req: falcon.asgi.Request, _resp: object) -> None:
        """Start the span."""
        carrier = {name: req.get_header(name) or "" for name in ("traceparent", "tracestate")}
        span = _tracer.start_span(req.method, context=_propagator.extract(carrier), kind=SpanKind.SERVER)
        req.context.span = span
        req.context.span_token = context.attach(trace.set_span_in_context(span))

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, _resource: object, _is_success: object
    ) -> None:
        """End the span and name it after the route."""
        span: Span = req.context.span
        if req.uri_template:
            span.update_name(f"{req.method} {req.uri_template}")
            span.set_attribute("http.route", req.uri_template)
        span.set_attribute("http.request.method", req.method)
        span.set_attribute("http.response.status_code", resp.status_code)
        span.set_attribute("request.id", req.context.request_id)
        if resp.status_code >= SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end()
        context.detach(req.context.span_token)


class TracedBatcher(Batcher[Any, Any]):
    """A batcher whose entries remember the spans of their requests."""

    def submit(self, request: Any) -> Entry[Any, Any]:
        """Queue a request, and remember its span."""
        entry = super().submit(request)
        entry.span = trace.get_current_span()  # type: ignore[attr-defined] # only traced entries have one
        return entry

    async def _deliver(self, batch: list[Entry[Any, Any]], *, aside: bool = False) -> None:
        """Deliver a batch within a span: a child of the first request's span, linked with the spans of all requests."""
        spans: list[Span] = [entry.span for entry in batch if entry.span.is_recording()]  # type: ignore[attr-defined]
        if not spans:
            with trace.use_span(trace.INVALID_SPAN):
                await super()._deliver(batch, aside=aside)
            return
        with _tracer.start_as_current_span(
            f"batch {self._name}",
            context=trace.set_span_in_context(spans[0]),
            links=[Link(span.get_span_context()) for span in spans],
            attributes={"batch.requests": len(batch)},
        ) as batch_span:
            for span in spans:
                span.add_link(batch_span.get_span_context())
            await super()._deliver(batch, aside=aside)


class TracedConnection(Connection):
    """A connection with one span per CALL."""

    async def call(self, procedure: str, *arguments: Any) -> ResultSets:
        """CALL a procedure within a span, which gets the errno of a failure. Raises what `Connection.call` raises."""
        if not trace.get_current_span().is_recording():
            return await super().call(procedure, *arguments)
        attributes = {
            "db.system.name": "mysql",
            "db.operation.name": "CALL",
            "db.stored_procedure.name": procedure,
        }
        with _tracer.start_as_current_span(
            f"CALL {procedure}", kind=SpanKind.CLIENT, attributes=attributes, record_exception=False
        ) as span:
            try:
                return await super().call(procedure, *arguments)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                if errno := getattr(error, "errno", None):
                    span.set_attribute("db.response.status_code", str(errno))
                raise


class TracedProcedureClient(ProcedureClient):
    """A client whose batchers and connections are traced."""

    batcher_class = TracedBatcher
    connection_class = TracedConnection

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        load_environment()  # the SDK reads the environment
        resource = Resource.create({SERVICE_NAME: "checkout"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(self._provider)

    async def close(self) -> None:
        """Close the client, then send the remaining spans."""
        await super().close()
        # An unreachable collector must not delay the stop.
        thread = threading.Thread(target=self._provider.shutdown, name="trace-flush", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, FLUSH_TIMEOUT_S)
