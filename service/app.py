"""The Falcon application: routes, and what every request goes through."""

import re
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
from service.logs import configure_logs
from service.metrics import RequestMetrics
from service.mysql_url import MysqlUrl
from service.openapi import OpenApiResource
from service.procedure_client import ProcedureClient
from service.requests import set_idempotency_key_header
from service.resources.docs import DocsFileResource, DocsResource
from service.resources.health import LivenessResource, ReadinessResource
from service.resources.holds import HoldExtensionResource, HoldResource, HoldsResource
from service.resources.metrics import MetricsResource
from service.resources.orders import OrderCancellationResource, OrderResource, OrdersResource, PaymentStartResource
from service.resources.payments import PaymentWebhookResource
from service.resources.products import ProductResource, ProductsResource, StockStreamResource
from service.settings import Settings, load_settings
from service.streams import StockFeed

KEYED_PATHS = ("/api/holds", "/api/orders")  # whose POST takes an Idempotency-Key
REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

log = structlog.get_logger()


class CommonHeaders:
    """What every answer carries."""

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Name the request before it is routed, so that a 404 has its id too."""
        given = req.get_header("X-Request-Id")
        request_id = given if given and REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
        req.context.request_id = request_id
        req.context.caller = ""  # whose holds, orders and keys the request may see
        resp.set_header("X-Request-Id", request_id)
        resp.set_header("Cache-Control", "no-store")


class Lifespan:
    """What begins and ends with the worker."""

    def __init__(self, procedures: ProcedureClient, feed: StockFeed) -> None:
        self._procedures = procedures
        self._feed = feed

    async def process_startup(self, scope: dict[str, Any], _event: object) -> None:
        """Leave word of how streams are ended, which must happen before the server waits for its clients."""
        scope["state"]["end_streams"] = self._feed.end

    async def process_shutdown(self, _scope: object, _event: object) -> None:
        """Close the procedures: what is queued is answered first."""
        await self._procedures.close()


def answer_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an error; to a POST that takes a key it carries one, also where the resource was not reached."""
    if req.method == "POST" and req.uri_template in KEYED_PATHS and resp.get_header("Idempotency-Key") is None:
        set_idempotency_key_header(req, resp)
    serialize(req, resp, error)


async def answer_unavailable(_req: object, _resp: object, error: Exception, _params: object) -> None:
    """Nobody knows the outcome: 503, and the same key settles it."""
    raise unavailable(error) from None


async def answer_unexpected(req: falcon.asgi.Request, _resp: object, error: Exception, _params: object) -> None:
    """A defect of ours: into the log with it, and no detail to the client."""
    log.error("unexpected_error", request_id=req.context.request_id, path=req.path, exc_info=error)
    raise Problem("internal_error", 500, "Something is wrong on our side; it has been logged.")


def _traced_client(settings: Settings) -> tuple[ProcedureClient, list[Any]]:
    """The tracing client and its middleware; only this imports OpenTelemetry. Raises SettingsError."""
    try:
        from service import tracing  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: traces need requirements-traces.txt installed ({error})"
        ) from None
    return tracing.TracedProcedureClient(settings), [tracing.RequestSpans()]


def create_app(settings: Settings | None = None) -> falcon.asgi.App[Any, Any]:
    """The ASGI application; without settings, those of the environment. Raises SettingsError."""
    configure_logs()
    settings = settings or service.settings.active or load_settings()
    procedures, spans = (
        _traced_client(settings) if settings.otel_exporter_otlp_endpoint else (ProcedureClient(settings), [])
    )
    feed = StockFeed(procedures.read_product, settings.redis_url)
    middleware: list[Any] = [CommonHeaders(), RequestMetrics(), *spans, Lifespan(procedures, feed)]
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
    app.add_route("/api/products/{product_id}/stock/stream", StockStreamResource(feed))
    app.add_route("/api/holds", HoldsResource(procedures, settings.path_prefix))
    app.add_route("/api/holds/{hold_id}", HoldResource(procedures))
    app.add_route("/api/holds/{hold_id}/extend", HoldExtensionResource(procedures))
    app.add_route("/api/orders", OrdersResource(procedures, settings.path_prefix))
    app.add_route("/api/orders/{order_id}", OrderResource(procedures))
    app.add_route("/api/orders/{order_id}/cancel", OrderCancellationResource(procedures))
    app.add_route("/api/orders/{order_id}/start-payment", PaymentStartResource(procedures))
    app.add_route("/api/payments/webhook", PaymentWebhookResource(procedures, settings.verifiers()))
    app.add_route("/openapi.json", OpenApiResource(settings.path_prefix))
    app.add_route("/docs", DocsResource(settings.path_prefix))
    app.add_route("/docs/{name}", DocsFileResource())
    app.add_route("/healthz", LivenessResource())
    app.add_route("/readyz", ReadinessResource(procedures))
    app.add_route("/metrics", MetricsResource(procedures, len(MysqlUrl.parse(settings.mysql_url).hosts)))
    return app
