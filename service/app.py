"""The Falcon application: its routes, middleware and error handlers."""

import re
from collections.abc import Sequence
from typing import Any

import falcon
import falcon.asgi
import structlog
import uuid_utils

import service.settings
from service.access import AccessControl, ApiKeys, RateLimits
from service.errors import (
    DatabaseUnavailable,
    Overloaded,
    Problem,
    SettingsError,
    serialize,
    unavailable,
)
from service.event_feed import EventFeed
from service.logs import configure_logs
from service.metrics import RequestMetrics
from service.mysql_url import MysqlUrl
from service.openapi import STRIPE_PATH, OpenApiResource
from service.procedure_client import ProcedureClient
from service.requests import set_idempotency_key_header
from service.resources.docs import DocsFileResource, DocsResource
from service.resources.events import EventsResource
from service.resources.health import LivenessResource, ReadinessResource
from service.resources.holds import HoldExtensionResource, HoldResource, HoldsResource
from service.resources.metrics import MetricsResource
from service.resources.orders import OrderCancellationResource, OrderResource, OrdersResource, PaymentStartResource
from service.resources.payments import PaymentWebhookResource
from service.resources.products import ProductResource, ProductsResource, StockStreamResource
from service.resources.refunds import RefundsResource
from service.settings import Settings, load_settings
from service.streams import StockFeed

KEYED_PATHS = ("/api/holds", "/api/orders", "/api/orders/{order_id}/refunds")  # whose POST takes an Idempotency-Key
REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

log = structlog.get_logger()


class CommonHeaders:
    """Middleware: sets X-Request-Id and Cache-Control on every response."""

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Give the request an id before it is routed, so that a 404 carries one as well."""
        given = req.get_header("X-Request-Id")
        request_id = given if given and REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
        req.context.request_id = request_id
        req.context.caller = ""  # whose holds, orders and idempotency keys the request may see
        resp.set_header("X-Request-Id", request_id)
        resp.set_header("Cache-Control", "no-store")


class WorkerLifespan:
    """Middleware: connects the application to the start and the stop of its worker."""

    def __init__(self, procedures: ProcedureClient, feeds: Sequence[StockFeed | EventFeed]) -> None:
        self._procedures = procedures
        self._feeds = feeds

    async def process_startup(self, scope: dict[str, Any], _event: object) -> None:
        """Tell the worker how to end streams and waits: it has to end them before it waits for its connections."""
        scope["state"]["end_streams"] = self._end_feeds

    async def process_shutdown(self, _scope: object, _event: object) -> None:
        """Answer the queued requests, then close all connections."""
        await self._procedures.close()

    def _end_feeds(self) -> None:
        for feed in self._feeds:
            feed.end()


def answer_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an error; the answer to a POST that takes an Idempotency-Key has one, even if no resource was reached."""
    if req.method == "POST" and req.uri_template in KEYED_PATHS and resp.get_header("Idempotency-Key") is None:
        set_idempotency_key_header(req, resp)
    serialize(req, resp, error)


async def answer_unavailable(_req: object, _resp: object, error: Exception, _params: object) -> None:
    """Answer 503: the outcome is unknown, and a retry with the same key settles it."""
    raise unavailable(error) from None


async def answer_unexpected(req: falcon.asgi.Request, _resp: object, error: Exception, _params: object) -> None:
    """Log a defect of ours with its traceback, and answer 500 without details."""
    log.error("unexpected_error", request_id=req.context.request_id, path=req.path, exc_info=error)
    raise Problem("internal_error", 500, "The service has a defect; the log has the details under X-Request-Id.")


def _traced_client(settings: Settings) -> tuple[ProcedureClient, list[Any]]:
    """Return a client that traces, and its middleware. Imports OpenTelemetry. Raises SettingsError."""
    try:
        from service import tracing  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: traces need the packages of requirements-traces.txt ({error})"
        ) from None
    return tracing.TracedProcedureClient(settings), [tracing.RequestSpans()]


def create_app(settings: Settings | None = None) -> falcon.asgi.App[Any, Any]:
    """Build the ASGI application with the given settings, else with those of the environment. Raises SettingsError."""
    configure_logs()
    settings = settings or service.settings.active or load_settings()
    procedures, spans = (
        _traced_client(settings) if settings.otel_exporter_otlp_endpoint else (ProcedureClient(settings), [])
    )
    stock, events = StockFeed(procedures.read_product, procedures.cache), EventFeed(procedures.list_events)
    middleware: list[Any] = [CommonHeaders(), RequestMetrics(), *spans, WorkerLifespan(procedures, (stock, events))]
    digests = settings.api_key_digests()
    per_key, per_address = settings.limit("RATE_LIMIT_PER_KEY"), settings.limit("RATE_LIMIT_PER_ADDRESS")
    if digests or per_address:
        limits = RateLimits(settings.redis_url, per_key, per_address, settings.proxies())
        middleware.append(AccessControl(ApiKeys(digests), limits))
    app = falcon.asgi.App(middleware=middleware)
    app.req_options.strip_url_path_trailing_slash = True
    app.set_error_serializer(answer_error)
    app.add_error_handler(Exception, answer_unexpected)
    app.add_error_handler(Overloaded, answer_unavailable)
    app.add_error_handler(DatabaseUnavailable, answer_unavailable)

    app.add_route("/api/products", ProductsResource(procedures))
    app.add_route("/api/products/{product_id}", ProductResource(procedures))
    app.add_route("/api/products/{product_id}/stock/stream", StockStreamResource(stock))
    app.add_route("/api/holds", HoldsResource(procedures, settings.path_prefix))
    app.add_route("/api/holds/{hold_id}", HoldResource(procedures))
    app.add_route("/api/holds/{hold_id}/extend", HoldExtensionResource(procedures))
    app.add_route("/api/orders", OrdersResource(procedures, settings.path_prefix))
    app.add_route("/api/orders/{order_id}", OrderResource(procedures))
    app.add_route("/api/orders/{order_id}/cancel", OrderCancellationResource(procedures))
    app.add_route("/api/orders/{order_id}/start-payment", PaymentStartResource(procedures))
    app.add_route("/api/orders/{order_id}/refunds", RefundsResource(procedures))
    app.add_route("/api/payments/webhook", PaymentWebhookResource(procedures, settings.verifiers()))
    if settings.stripe_webhook_secrets:
        # Importing the library of Stripe takes 0.1 s and 7 MiB.
        from service.resources.stripe_webhook import StripeWebhookResource  # noqa: PLC0415

        app.add_route(STRIPE_PATH, StripeWebhookResource(procedures, settings))
    app.add_route("/api/events", EventsResource(events))
    app.add_route("/openapi.json", OpenApiResource(settings))
    app.add_route("/docs", DocsResource(settings.path_prefix))
    app.add_route("/docs/{name}", DocsFileResource())
    app.add_route("/healthz", LivenessResource())
    app.add_route("/readyz", ReadinessResource(procedures))
    app.add_route("/metrics", MetricsResource(procedures, len(MysqlUrl.parse(settings.mysql_url).hosts)))
    return app
