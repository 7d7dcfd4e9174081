"""Every status that `/openapi.json` describes is provoked, and the response matches its description."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from typing import Any

import pytest
import schemathesis

from service.openapi import DOCUMENT, HEADERS
from service.requests import BODY_LIMIT_BYTES, STRIPE_BODY_LIMIT_BYTES
from stack.servers import Servers
from tests.http.support import (
    Service,
    Shop,
    hold_request,
    order_request,
    payment_request,
    reduction_request,
    refund_request,
)
from tests.stripe_events import SETTINGS as STRIPE_SETTINGS
from tests.stripe_events import delivery, succeeded
from tests.support import Session, eventually

Request = dict[str, Any]

OPERATIONS = {
    operation.definition.raw["operationId"]: operation
    for operation in (result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
}
ENDLESS = ("stream_stock", 200)  # see test_streams
DESCRIBED = [
    (name, int(status))
    for name, operation in OPERATIONS.items()
    for status in operation.definition.raw["responses"]
    if (name, int(status)) != ENDLESS
]
API_KEY = "a key of the shop"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()
UNKNOWN_ID = 2**50


class Scene:
    """Builds, for each operation and status, a request that provokes the status, and the rows that it needs."""

    def __init__(self, shop: Shop, session: Session) -> None:
        self._shop = shop
        self._session = session

    def request(self, name: str, status: int) -> Request:
        """The request that provokes a status of an operation, unless the service's settings provoke it."""
        special = getattr(self, f"_{name}_{status}", None)
        if special is not None:
            return special()
        good: Request = getattr(self, f"_{name}")()
        if status == 404:
            return {**good, "url": good["url"].replace(good["url"].split("/")[3], str(UNKNOWN_ID))}
        body = {400: {"content": "{"}, 413: {"content": " " * (BODY_LIMIT_BYTES + 1)}, 422: {"json": {}}}
        if status in body:
            return {**without(good, "json"), "headers": {"Content-Type": "application/json"}, **body[status]}
        if status == 415:
            return {**without(good, "json"), "headers": {"Content-Type": "text/plain"}, "content": "{}"}
        return good

    def _list_products(self) -> Request:
        return get("/api/products")

    def _list_products_422(self) -> Request:
        return get("/api/products?limit=0")

    def _list_events(self) -> Request:
        return get("/api/events?wait_s=1")

    def _list_events_410(self) -> Request:
        self._order()
        self._session.execute("UPDATE events SET occurred_at = UTC_TIMESTAMP() - INTERVAL 31 DAY")
        self._session.call("purge_history", 10_000)
        return get("/api/events?after=1")

    def _list_events_422(self) -> Request:
        return get("/api/events?wait_s=31")

    def _get_product(self) -> Request:
        return get(f"/api/products/{self._product()}")

    def _stream_stock(self) -> Request:
        return get(f"/api/products/{self._product()}/stock/stream")

    def _create_hold(self) -> Request:
        return hold_request(self._product())

    def _create_hold_404(self) -> Request:
        return hold_request(UNKNOWN_ID)

    def _create_hold_409(self) -> Request:
        return hold_request(self._product(), 99)

    def _create_hold_410(self) -> Request:
        product_id = self._product()
        self._session.call("archive_product", product_id)
        return hold_request(product_id)

    def _get_hold(self) -> Request:
        return get(f"/api/holds/{self._hold()}")

    def _reduce_hold(self) -> Request:
        return reduction_request(self._hold(), 1)

    def _reduce_hold_409(self) -> Request:
        return reduction_request(self._ordered_hold(), 1)

    def _reduce_hold_410(self) -> Request:
        return reduction_request(self._expired_hold(), 1)

    def _release_hold(self) -> Request:
        return {**self._get_hold(), "method": "DELETE"}

    def _release_hold_409(self) -> Request:
        return {"method": "DELETE", "url": f"/api/holds/{self._ordered_hold()}"}

    def _release_hold_410(self) -> Request:
        return {"method": "DELETE", "url": f"/api/holds/{self._expired_hold()}"}

    def _extend_hold(self) -> Request:
        return post(f"/api/holds/{self._hold()}/extend")

    def _extend_hold_409(self) -> Request:
        return post(f"/api/holds/{self._ordered_hold()}/extend")

    def _extend_hold_410(self) -> Request:
        return post(f"/api/holds/{self._expired_hold()}/extend")

    def _create_order(self) -> Request:
        return order_request(self._hold())

    def _create_order_404(self) -> Request:
        return order_request(UNKNOWN_ID)

    def _create_order_409(self) -> Request:
        return order_request(self._ordered_hold())

    def _create_order_410(self) -> Request:
        return order_request(self._expired_hold())

    def _list_orders(self) -> Request:
        self._order()
        return get("/api/orders")

    def _list_orders_422(self) -> Request:
        return get("/api/orders?customer_id=")

    def _get_order(self) -> Request:
        return get(f"/api/orders/{self._order()}")

    def _cancel_order(self) -> Request:
        return post(f"/api/orders/{self._order()}/cancel")

    def _cancel_order_409(self) -> Request:
        return post(f"/api/orders/{self._paid_order()}/cancel")

    def _start_payment(self) -> Request:
        return post(f"/api/orders/{self._order()}/start-payment")

    def _start_payment_409(self) -> Request:
        return post(f"/api/orders/{self._paid_order()}/start-payment")

    def _start_payment_422(self) -> Request:
        return {**self._start_payment(), "json": {"window_s": 0}}

    def _refund_order(self) -> Request:
        return refund_request(self._paid_order())

    def _refund_order_409(self) -> Request:
        return refund_request(self._order())

    def _apply_payment(self) -> Request:
        order_id = self._order()
        return payment_request(f"payment of {order_id}", order_id)

    def _apply_payment_202(self) -> Request:
        return payment_request("too early", UNKNOWN_ID)

    def _apply_payment_409(self) -> Request:
        order_id = self._paid_order()
        return payment_request(f"payment of {order_id}", order_id + 1)

    def _apply_stripe_event(self) -> Request:
        return delivery(succeeded("pi_1", {"order_id": str(self._order())}))

    def _apply_stripe_event_202(self) -> Request:
        return delivery(succeeded("pi_too_early", {"order_id": str(UNKNOWN_ID)}))

    def _apply_stripe_event_400(self) -> Request:
        return delivery("{")

    def _apply_stripe_event_401(self) -> Request:
        return delivery("{}", "whsec_strange")

    def _apply_stripe_event_409(self) -> Request:
        sent = succeeded("pi_2", {"order_id": str(self._order())})
        self._shop.client.request(**delivery(sent))
        return delivery({**succeeded("pi_2", {"order_id": str(self._order())}), "id": sent["id"]})

    def _apply_stripe_event_413(self) -> Request:
        return delivery(" " * (STRIPE_BODY_LIMIT_BYTES + 1))

    def _apply_stripe_event_422(self) -> Request:
        return delivery("{}")

    def _healthz(self) -> Request:
        return get("/healthz")

    def _readyz(self) -> Request:
        return get("/readyz")

    def _metrics(self) -> Request:
        return get("/metrics")

    def _openapi(self) -> Request:
        return get("/openapi.json")

    def _docs(self) -> Request:
        return get("/docs")

    def _docs_file(self) -> Request:
        return get("/docs/swagger-ui.css")

    def _docs_file_404(self) -> Request:
        return get("/docs/index.html")

    def _product(self) -> int:
        return self._session.create_product(stock=9)

    def _hold(self) -> int:
        return self._shop.hold(self._product())

    def _order(self) -> int:
        return self._shop.order(self._hold())

    def _ordered_hold(self) -> int:
        hold_id = self._hold()
        self._shop.order(hold_id)
        return hold_id

    def _paid_order(self) -> int:
        order_id = self._order()
        self._shop.pay(f"payment of {order_id}", order_id)
        return order_id

    def _expired_hold(self) -> int:
        hold_id = self._hold()
        self._session.execute("UPDATE holds SET expires_at = expires_at - INTERVAL 1 DAY WHERE id = %s", hold_id)
        return hold_id


def get(path: str) -> Request:
    return {"method": "GET", "url": path}


def post(path: str) -> Request:
    return {"method": "POST", "url": path}


def without(request: Request, member: str) -> Request:
    return {name: value for name, value in request.items() if name != member}


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with every path."""
    return start_service(**STRIPE_SETTINGS)


@pytest.fixture(scope="module")
def guarded(start_service: Callable[..., Service]) -> Service:
    """A service that requires API keys and signatures."""
    digest = sha256(API_KEY.encode()).hexdigest()
    signatures = {"WEBHOOK_SECRETS": WEBHOOK_SECRET, **STRIPE_SETTINGS}
    return start_service(API_KEYS=f"shop:{digest}", WEB_CONCURRENCY="1", **signatures)


@pytest.fixture(scope="module")
def limited(start_service: Callable[..., Service]) -> Service:
    """A service whose rate limit of one request per hour is used up."""
    service = start_service(RATE_LIMIT_PER_ADDRESS="1/hour", WEB_CONCURRENCY="1")
    with service.client() as client:
        eventually(lambda: client.get("/api/products").status_code == 429)
    return service


@pytest.fixture(scope="module")
def hurried(start_service: Callable[..., Service]) -> Service:
    """A service with a short deadline."""
    return start_service(REQUEST_DEADLINE_S="0.2", WEB_CONCURRENCY="1", **STRIPE_SETTINGS)


@contextmanager
def paused_mysql(servers: Servers) -> Iterator[None]:
    servers.mysql.pause()
    try:
        yield
    finally:
        servers.mysql.resume()


@pytest.fixture
def scene(shop: Shop, session: Session) -> Scene:
    """A scene on the file's service."""
    return Scene(shop, session)


@pytest.mark.parametrize(("name", "status"), DESCRIBED)
def test_every_status_of_the_openapi_document_is_answered_as_described(
    name: str, status: int, scene: Scene, servers: Servers, request: pytest.FixtureRequest
) -> None:
    service = request.getfixturevalue({401: "guarded", 429: "limited", 503: "hurried"}.get(status, "service"))
    provocation = scene.request(name, status)
    with service.client() as client, paused_mysql(servers) if status == 503 else nullcontext():
        response = client.request(**provocation)
    assert response.status_code == status, response.text
    OPERATIONS[name].validate_response(response)
    described = OPERATIONS[name].definition.raw["responses"][str(status)]["headers"].keys()
    required = {header for header in described if HEADERS[header].get("required")}
    assert required <= {header for header in HEADERS if header in response.headers} <= described
