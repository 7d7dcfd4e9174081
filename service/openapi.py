"""The OpenAPI 3.1 description of the service, which `/openapi.json` answers."""

import re
from pathlib import Path
from typing import Any

import falcon.asgi
import msgspec

from service import __version__
from service.errors import (
    CUSTOMER_ID_REQUIRED,
    CUSTOMER_LIMIT_REACHED,
    ERRORS,
    EVENTS_PURGED,
    HOLD_ALREADY_USED,
    HOLD_EXPIRED,
    HOLD_NOT_FOUND,
    HOLD_RELEASED,
    IDEMPOTENCY_KEY_REUSED,
    INSUFFICIENT_STOCK,
    INVALID_REQUEST,
    ORDER_ALREADY_PAID,
    ORDER_CANCELLED,
    ORDER_NOT_FOUND,
    ORDER_NOT_PAID,
    PRODUCT_ARCHIVED,
    PRODUCT_NOT_FOUND,
    QUANTITY_OUT_OF_RANGE,
    REFUND_EXCEEDS_ORDER,
    SALE_NOT_OPEN,
)
from service.requests import BIGINT_MAXIMUM, BODY_LIMIT_BYTES, STRIPE_BODY_LIMIT_BYTES
from service.resources.docs import FILES as DOCS_FILES
from service.resources.events import LIMIT as EVENT_LIMIT
from service.resources.events import WAIT_LIMIT_S
from service.settings import Settings

STRIPE_PATH = "/api/payments/stripe"  # only where STRIPE_WEBHOOK_SECRETS are set

Json = dict[str, Any]

ID: Json = {"type": "integer", "minimum": 1, "maximum": BIGINT_MAXIMUM, "examples": [1]}
UNITS: Json = {"type": "integer", "minimum": 0, "examples": [1], "description": "units"}
MONEY: Json = {
    "type": "number",
    "minimum": 0,
    "examples": [100.0],
    "description": "The exact digits of a DECIMAL with two places; read it as a decimal, not as binary floating point.",
}
MOMENT: Json = {"type": "string", "format": "date-time", "examples": ["2026-01-02T18:30:00Z"], "description": "UTC"}
TEXT: Json = {"type": "string"}
PAYMENT_STATUSES = {
    **dict.fromkeys(("success",), "the money has arrived"),
    **dict.fromkeys(("failure", "failed", "expired", "cancelled", "canceled"), "the payment is over without money"),
    **dict.fromkeys(("declined",), "one attempt failed, and the buyer may try again"),
    **dict.fromkeys(("pending", "processing", "authorized"), "the payment is under way"),
    **dict.fromkeys(("refunded",), "the whole payment was refunded"),
    **dict.fromkeys(("disputed",), "the buyer disputes the payment"),
}
OUTCOMES = ("waiting", "applied", "ignored", "refund_due", "orphaned")
ORDER_STATUS: Json = {"enum": ["pending", "paid", "cancelled", "refunded"]}


def _describe(meanings: dict[str, str]) -> str:
    """Return a description of words: those with the same meaning together."""
    words: dict[str, list[str]] = {}
    for word, meaning in meanings.items():
        words.setdefault(meaning, []).append(word)
    return "; ".join(f"{', '.join(same)}: {meaning}" for meaning, same in words.items())


def _object(optional: tuple[str, ...] = (), **members: Json) -> Json:
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": members, "required": required}


ORDER_LINE = _object(hold_id=ID, product_id=ID, quantity=UNITS, unit_price=MONEY, refunded_quantity=UNITS)
ORDER = _object(
    ("hold_id", "product_id", "quantity"),
    order_id=ID,
    hold_id={**ID, "description": "only where the order has one line, like product_id and quantity"},
    product_id=ID,
    quantity=UNITS,
    amount={**MONEY, "description": "the sum of quantity times unit_price over the lines"},
    status=ORDER_STATUS,
    payment_due_at=MOMENT,
    lines={"type": "array", "items": ORDER_LINE, "description": "one per hold, by hold_id"},
)
SALE_WINDOW = {
    "sale_starts_at": {**MOMENT, "description": "UTC; holds are accepted from this second on; missing: at once"},
    "sale_ends_at": {
        **MOMENT,
        "description": "UTC; holds are refused from this second on; missing: the sale has no end",
    },
}
PRODUCT = _object(
    (*SALE_WINDOW, "maximum_per_customer"),
    id=ID,
    name=TEXT,
    price=MONEY,
    available_stock=UNITS,
    **SALE_WINDOW,
    maximum_per_customer={**UNITS, "minimum": 1, "description": "units; missing: no maximum"},
)
POSITION: Json = {**ID, "minimum": 0}
EVENT = _object(
    ("reason", "amount", "payment_id", "refund_id", "status"),
    position=ID,
    type={"enum": ["order.created", "order.paid", "order.cancelled", "order.refunded", "refund.due", "hold.expired"]},
    order_id={"type": ["integer", "null"], "description": "null with hold.expired"},
    hold_ids={"type": "array", "items": ID, "description": "the holds of the order, or the hold; ascending"},
    occurred_at=MOMENT,
    reason={
        "enum": [
            *("payment_failed", "cancelled", "timed_out"),
            *("too_late", "paid_twice", "wrong_amount", "orphaned"),
        ],
        "description": "with order.cancelled: payment_failed, cancelled or timed_out; with refund.due: the others",
    },
    amount={**MONEY, "type": ["number", "null"], "description": "with refund.due and order.refunded"},
    payment_id={"type": ["string", "null"], "description": "with refund.due: the provider's name of the payment"},
    refund_id={**ID, "description": "with order.refunded"},
    status={"enum": ["paid", "refunded"], "description": "with order.refunded: of the order"},
)
SCHEMAS: dict[str, Json] = {
    "Product": PRODUCT,
    "Products": _object(items={"type": "array", "items": PRODUCT}, next={"type": ["integer", "null"]}),
    "StockEvent": {
        **_object(
            id={"type": "string", "pattern": "^[0-9]+$", "description": "the stock's version"},
            event={"const": "message"},
            data={
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/Product"},
            },
        ),
        "description": "One event of the stream; data is a Product as JSON.",
    },
    "HoldBody": _object(
        ("customer_id",),
        product_id=ID,
        quantity={**UNITS, "minimum": 1, "maximum": 1_000_000},
        customer_id={
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": 64,
            "examples": ["customer-7"],
            "description": "who the hold is for, 1 to 64 bytes; needed where the product has a maximum per customer",
        },
    ),
    "CreatedHold": _object(hold_id=ID, expires_at=MOMENT),
    "Hold": _object(
        ("unit_price", "order_id"),
        hold_id=ID,
        product_id=ID,
        quantity=UNITS,
        status={"enum": ["active", "ordered", "expired", "released"]},
        expires_at=MOMENT,
        unit_price={
            **MONEY,
            "description": "The product's price when the hold was made. Holds that ended under release 0.9 have none.",
        },
        order_id={**ID, "description": "the order that the hold became; only where it is ordered"},
    ),
    "HoldReductionBody": _object(
        quantity={**UNITS, "minimum": 1, "maximum": 1_000_000, "description": "units that the hold keeps"}
    ),
    "ReducedHold": _object(hold_id=ID, quantity=UNITS, expires_at=MOMENT),
    "ExtendedHold": _object(hold_id=ID, expires_at=MOMENT),
    "OrderBody": {
        **_object(
            ("hold_id", "hold_ids"),
            hold_id=ID,
            hold_ids={
                "type": "array",
                "items": ID,
                "minItems": 1,
                "maxItems": 50,
                "uniqueItems": True,
                "examples": [[1, 2]],
                "description": "holds of one caller and of at most one customer; under a key they are a set",
            },
        ),
        "oneOf": [{"required": ["hold_id"]}, {"required": ["hold_ids"]}],
    },
    "CreatedOrder": _object(
        ("hold_id", "hold_ids"),
        order_id=ID,
        hold_id={**ID, "description": "where the first request under the key named one hold"},
        hold_ids={"type": "array", "items": ID, "description": "where it named a list; ascending"},
        status=ORDER_STATUS,
    ),
    "CancelledOrder": _object(
        ("hold_id", "hold_ids"),
        order_id=ID,
        hold_id={**ID, "description": "where the order has one line"},
        hold_ids={"type": "array", "items": ID, "description": "where it has several; ascending"},
        status={"const": "cancelled"},
    ),
    "Order": ORDER,
    "Orders": _object(items={"type": "array", "items": ORDER}, next={"type": ["integer", "null"]}),
    "RefundBody": _object(
        ("lines",),
        restock={
            "type": "boolean",
            "description": "true: the units become available again; false: they leave the product's total stock",
        },
        lines={
            "type": ["array", "null"],
            "items": _object(hold_id=ID, quantity={**UNITS, "minimum": 1}),
            "minItems": 1,
            "maxItems": 50,
            "examples": [[{"hold_id": 1, "quantity": 1}]],
            "description": "units by hold, each hold once; under a key they are a set; missing: all that are left",
        },
    ),
    "CreatedRefund": _object(
        refund_id=ID,
        order_id=ID,
        amount={**MONEY, "description": "the sum of quantity times unit_price over the refunded units"},
        status={
            "enum": ["paid", "refunded"],
            "description": "the order's after this refund; refunded: no unit is left",
        },
    ),
    "PaymentStartBody": _object(
        ("window_s",),
        window_s={
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 2_592_000,
            "examples": [1200],
            "description": "seconds that the order waits from now, at most the setting payment_window_maximum_s",
        },
    ),
    "StartedPayment": _object(order_id=ID, payment_due_at=MOMENT),
    "PaymentEvent": _object(
        ("payment_id", "amount"),
        idempotency_key={**TEXT, "minLength": 1, "maxLength": 255, "examples": ["payment-1"]},
        order_id={
            "anyOf": [ID, {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}],
            "examples": [1],
            "description": "a number, or a string of its digits",
        },
        status={"enum": list(PAYMENT_STATUSES), "examples": ["success"], "description": _describe(PAYMENT_STATUSES)},
        payment_id={
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": 255,
            "examples": ["pi_3QbX"],
            "description": "the provider's name of the payment, 1 to 255 bytes; a further success of the order under"
            " the same payment_id is ignored",
        },
        amount={
            "anyOf": [
                {"type": "number", "minimum": 0, "exclusiveMaximum": 10**18, "multipleOf": 0.01},
                {"type": "string", "pattern": r"^[0-9]{1,18}(\.[0-9]{1,2})?$"},
                {"type": "null"},
            ],
            "examples": ["100.00", 100.0],
            "description": "what was paid, in at most two decimals; a success of another amount than the order's does"
            " not pay it",
        },
    ),
    "AppliedPayment": _object(
        order_id=ID,
        status={"enum": [*ORDER_STATUS["enum"], None]},
        outcome={"enum": list(OUTCOMES)},
    ),
    "StripeEvent": {
        **_object(
            id={**TEXT, "minLength": 1, "maxLength": 255, "examples": ["evt_3QbX"]},
            type={**TEXT, "examples": ["payment_intent.succeeded"]},
            data=_object(object={"type": "object"}),
        ),
        "description": "An event as Stripe sends it: https://docs.stripe.com/api/events/object",
    },
    "AppliedStripeEvent": _object(
        order_id={**ID, "type": ["integer", "null"], "description": "null: the event concerns no known order"},
        status={"enum": [*ORDER_STATUS["enum"], None]},
        outcome={"enum": list(OUTCOMES)},
    ),
    "Events": _object(
        items={"type": "array", "items": EVENT},
        next={**POSITION, "description": "the position of the last item, else `after`: pass it as `after` to go on"},
    ),
    "Liveness": _object(status={"const": "ok"}),
    "Readiness": _object(
        status={"enum": ["ready", "degraded"]},
        version=TEXT,
        mysql={"const": "ok"},
        redis={"enum": ["ok", "degraded"]},
        sweep_lag_s={"type": "integer", "description": "seconds; age of the oldest due hold that no sweep has expired"},
        sweep_event={"enum": ["enabled", "disabled"], "description": "whether MySQL's own EVENT sweeps"},
    ),
    "Problem": _object(
        ("available_stock", *SALE_WINDOW, "hold_id", "order_id", "oldest_position", "missing"),
        type=TEXT,
        title=TEXT,
        status={"type": "integer"},
        detail=TEXT,
        code=TEXT,
        errno={"type": ["integer", "null"]},
        available_stock=UNITS,
        **SALE_WINDOW,
        hold_id={**ID, "description": "where the request named hold_ids: the hold that refused"},
        order_id={**ID, "description": "with hold_already_used: the order that the hold became"},
        oldest_position={**ID, "description": "with events_purged: of the oldest event that is kept"},
        missing=TEXT,
    ),
}

PARAMETERS: dict[str, Json] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "1 to 255 bytes. The same key and body give the first answer again; without one, a key is made.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "docs_file": {"name": "name", "in": "path", "required": True, "schema": {"enum": list(DOCS_FILES)}},
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The last id seen, as browsers and libraries send it: what is known is not repeated.",
        "schema": {"type": "string"},
    },
    "after": {"name": "after", "in": "query", "schema": {**ID, "minimum": 0, "default": 0}},
    "customer_id": {
        "name": "customer_id",
        "in": "query",
        "description": "only the orders of this customer, whom their holds named; 1 to 64 bytes",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["customer-7"]},
    },
    "limit": {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
    },
    "event_limit": {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": EVENT_LIMIT, "default": 100},
    },
    "wait_s": {
        "name": "wait_s",
        "in": "query",
        "description": "seconds to wait for the next event where the page would be empty",
        "schema": {"type": "integer", "minimum": 0, "maximum": WAIT_LIMIT_S, "default": 0},
    },
}

HEADERS: dict[str, Json] = {
    "Idempotency-Key": {"description": "the request's key, or the one made for it", "required": True, "schema": TEXT},
    "Idempotent-Replayed": {
        "description": "with an answer that was given before",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Location": {"description": "the path of the new hold or order", "required": True, "schema": TEXT},
    "Retry-After": {"description": "seconds", "required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}},
}

# The command that is shown with each operation.
EXAMPLES = dict(
    re.findall(r"^## (\w+)\n(.+?)\n(?=\n|\Z)", Path(__file__).with_name("examples.sh").read_text(), re.M | re.S)
)

BODY_ERRORS = ("400 invalid_request", "413 invalid_request", "415 invalid_request")
UNAVAILABLE = ("503 overloaded", "503 database_unavailable")
TAG_ERRORS = {
    "shop": (*UNAVAILABLE, "401 unauthorized", "429 rate_limited"),
    "payment provider": (*UNAVAILABLE, "401 invalid_signature"),
    "operations": (),
}


def _headers(*names: str) -> Json:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def _problems(errnos: tuple[int, ...], others: tuple[str, ...], headers: tuple[str, ...]) -> Json:
    """Return a response per status, whose description names the possible codes."""
    codes = [(str(ERRORS[errno].status), f"{ERRORS[errno].slug} ({errno})") for errno in errnos]
    codes += [(status, code) for status, _, code in (other.partition(" ") for other in others)]
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": ", ".join(code for other, code in codes if other == status),
            "content": content,
            **_headers(*headers, *(("Retry-After",) if status in {"429", "503"} else ())),
        }
        for status in sorted({status for status, _ in codes})
    }


def _content(schema: str, media_types: tuple[str, ...] = ("application/json",)) -> Json:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}} for media_type in media_types}


def _operation(
    name: str,
    summary: str,
    answers: dict[str, str | None],
    *,
    body: str | None = None,
    is_body_required: bool = True,
    parameters: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    errnos: tuple[int, ...] = (),
    other_errors: tuple[str, ...] = (),
    tag: str = "shop",
    media_types: tuple[str, ...] = ("application/json",),
) -> Json:
    """Return one operation; `answers` are the schemas of the successful statuses, None for an answer without a body.

    `headers` are those of the successful answers. With an idempotency key, every answer has it. `other_errors` have no
    errno; those that every operation of the tag may answer, or every operation with a body, are added.
    """
    errors = (*other_errors, *(BODY_ERRORS if body else ()), *TAG_ERRORS[tag])
    key_header = ("Idempotency-Key",) if "IdempotencyKey" in parameters else ()
    responses: Json = {
        status: {"description": summary, **_headers(*key_header, *headers)}
        | ({"content": _content(schema, media_types)} if schema else {})
        for status, schema in answers.items()
    }
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "parameters": [{"$ref": f"#/components/parameters/{parameter}"} for parameter in parameters],
        "responses": responses | _problems(errnos, errors, key_header),
    }
    if name in EXAMPLES:
        operation["description"] = f"```sh\n{EXAMPLES[name]}\n```"
    if tag == "shop":
        operation["security"] = [{}, {"api_key": []}]
    if body:
        operation["requestBody"] = {"required": is_body_required, "content": _content(body)}
    return operation


def _path(name: str | None = None, **operations: Json) -> Json:
    """Return the operations of a path, with the id in its template."""
    return operations | ({"parameters": [{"name": name, "in": "path", "required": True, "schema": ID}]} if name else {})


HOLD_ERRNOS = (
    INVALID_REQUEST,
    IDEMPOTENCY_KEY_REUSED,
    PRODUCT_NOT_FOUND,
    INSUFFICIENT_STOCK,
    QUANTITY_OUT_OF_RANGE,
    SALE_NOT_OPEN,
    CUSTOMER_LIMIT_REACHED,
    CUSTOMER_ID_REQUIRED,
    PRODUCT_ARCHIVED,
)
ORDER_ERRNOS = (INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED, HOLD_NOT_FOUND, HOLD_EXPIRED, HOLD_ALREADY_USED, HOLD_RELEASED)
REFUND_ERRNOS = (INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED, ORDER_NOT_FOUND, ORDER_NOT_PAID, REFUND_EXCEEDS_ORDER)
PATHS: dict[str, Json] = {
    "/api/products": _path(
        get=_operation(
            "list_products",
            "A page of the products that are not archived, sorted by id",
            {"200": "Products"},
            parameters=("after", "limit"),
            errnos=(INVALID_REQUEST,),
        )
    ),
    "/api/products/{product_id}": _path(
        "product_id",
        get=_operation(
            "get_product",
            "One product with its stock",
            {"200": "Product"},
            errnos=(PRODUCT_NOT_FOUND,),
        ),
    ),
    "/api/products/{product_id}/stock/stream": _path(
        "product_id",
        get=_operation(
            "stream_stock",
            "The product now and after each change, as server-sent events whose id is the stock's version",
            {"200": "StockEvent"},
            parameters=("LastEventId",),
            errnos=(PRODUCT_NOT_FOUND,),
            media_types=("text/event-stream",),
        ),
    ),
    "/api/holds": _path(
        post=_operation(
            "create_hold",
            "Reserve units of a product",
            {"201": "CreatedHold"},
            headers=("Location", "Idempotent-Replayed"),
            body="HoldBody",
            parameters=("IdempotencyKey",),
            errnos=HOLD_ERRNOS,
        )
    ),
    "/api/holds/{hold_id}": _path(
        "hold_id",
        get=_operation("get_hold", "One hold", {"200": "Hold"}, errnos=(HOLD_NOT_FOUND,)),
        patch=_operation(
            "reduce_hold",
            "Reduce an active hold; the units that it gives up become available",
            {"200": "ReducedHold"},
            headers=("Idempotent-Replayed",),
            body="HoldReductionBody",
            errnos=(
                INVALID_REQUEST,
                QUANTITY_OUT_OF_RANGE,
                HOLD_NOT_FOUND,
                HOLD_EXPIRED,
                HOLD_ALREADY_USED,
                HOLD_RELEASED,
            ),
        ),
        delete=_operation(
            "release_hold",
            "Release an active hold before its deadline",
            {"204": None},
            errnos=(HOLD_NOT_FOUND, HOLD_EXPIRED, HOLD_ALREADY_USED),
        ),
    ),
    "/api/holds/{hold_id}/extend": _path(
        "hold_id",
        post=_operation(
            "extend_hold",
            "Give an active hold more time, once",
            {"200": "ExtendedHold"},
            headers=("Idempotent-Replayed",),
            errnos=(HOLD_NOT_FOUND, HOLD_EXPIRED, HOLD_ALREADY_USED, HOLD_RELEASED),
        ),
    ),
    "/api/orders": _path(
        get=_operation(
            "list_orders",
            "A page of the caller's orders, sorted by id",
            {"200": "Orders"},
            parameters=("customer_id", "after", "limit"),
            errnos=(INVALID_REQUEST,),
        ),
        post=_operation(
            "create_order",
            "Turn one or several holds into an order: all of them or none",
            {"201": "CreatedOrder"},
            headers=("Location", "Idempotent-Replayed"),
            body="OrderBody",
            parameters=("IdempotencyKey",),
            errnos=ORDER_ERRNOS,
        ),
    ),
    "/api/orders/{order_id}": _path(
        "order_id",
        get=_operation("get_order", "One order", {"200": "Order"}, errnos=(ORDER_NOT_FOUND,)),
    ),
    "/api/orders/{order_id}/cancel": _path(
        "order_id",
        post=_operation(
            "cancel_order",
            "Cancel a pending order and return its stock",
            {"200": "CancelledOrder"},
            headers=("Idempotent-Replayed",),
            errnos=(ORDER_NOT_FOUND, ORDER_ALREADY_PAID),
        ),
    ),
    "/api/orders/{order_id}/start-payment": _path(
        "order_id",
        post=_operation(
            "start_payment",
            "Give a pending order more time, once, because its buyer is paying",
            {"200": "StartedPayment"},
            headers=("Idempotent-Replayed",),
            body="PaymentStartBody",
            is_body_required=False,
            errnos=(INVALID_REQUEST, ORDER_NOT_FOUND, ORDER_ALREADY_PAID, ORDER_CANCELLED),
        ),
    ),
    "/api/orders/{order_id}/refunds": _path(
        "order_id",
        post=_operation(
            "refund_order",
            "Refund units of a paid order, or all that are left; the money moves at the payment provider",
            {"201": "CreatedRefund"},
            headers=("Idempotent-Replayed",),
            body="RefundBody",
            parameters=("IdempotencyKey",),
            errnos=REFUND_ERRNOS,
        ),
    ),
    "/api/payments/webhook": _path(
        post=_operation(
            "apply_payment",
            "Record a payment event and settle its order; 202 while there is no such order yet",
            {"200": "AppliedPayment", "202": "AppliedPayment"},
            headers=("Idempotent-Replayed",),
            body="PaymentEvent",
            errnos=(INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED),
            tag="payment provider",
        )
    ),
    STRIPE_PATH: _path(
        post=_operation(
            "apply_stripe_event",
            "Apply an event of Stripe to its order; 202 while that order does not exist yet",
            {"200": "AppliedStripeEvent", "202": "AppliedStripeEvent"},
            headers=("Idempotent-Replayed",),
            body="StripeEvent",
            errnos=(INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED),
            tag="payment provider",
        )
    ),
    "/api/events": _path(
        get=_operation(
            "list_events",
            "The events of the caller's orders and holds after a position, or, with wait_s, the next ones to come",
            {"200": "Events"},
            parameters=("after", "event_limit", "wait_s"),
            errnos=(INVALID_REQUEST, EVENTS_PURGED),
        )
    ),
    "/healthz": _path(get=_operation("healthz", "The process answers", {"200": "Liveness"}, tag="operations")),
    "/readyz": _path(
        get=_operation(
            "readyz", "The service can serve", {"200": "Readiness"}, other_errors=("503 not_ready",), tag="operations"
        )
    ),
    "/metrics": _path(
        get=_operation(
            "metrics", "What Prometheus scrapes", {"200": "Text"}, tag="operations", media_types=("text/plain",)
        )
    ),
    "/openapi.json": _path(get=_operation("openapi", "This document", {"200": "OpenApi"}, tag="operations")),
    "/docs": _path(
        get=_operation("docs", "This document as a page", {"200": "Text"}, tag="operations", media_types=("text/html",))
    ),
    "/docs/{name}": _path(
        get=_operation(
            "docs_file",
            "What that page loads",
            {"200": "Text"},
            parameters=("docs_file",),
            other_errors=("404 not_found",),
            tag="operations",
            media_types=tuple(sorted(set(DOCS_FILES.values()))),
        ),
    ),
}

DOCUMENT: Json = {
    "openapi": "3.1.0",
    "info": {
        "title": "Flash-sale checkout",
        "version": __version__,
        "description": f"Hold, order, pay. Bodies are JSON of at most {BODY_LIMIT_BYTES} bytes, events of Stripe of at"
        f" most {STRIPE_BODY_LIMIT_BYTES}; errors are RFC 9457.",
    },
    "paths": PATHS,
    "components": {
        "schemas": {**SCHEMAS, "OpenApi": {"type": "object"}, "Text": TEXT},
        "parameters": PARAMETERS,
        "headers": HEADERS,
        "securitySchemes": {
            "api_key": {"type": "http", "scheme": "bearer", "description": "needed where the service has API_KEYS"}
        },
    },
}


class OpenApiResource:
    """`/openapi.json`."""

    def __init__(self, settings: Settings) -> None:
        """Describe the paths that the service has with these settings."""
        document = {**DOCUMENT, "servers": [{"url": settings.path_prefix or "/"}]}
        if not settings.stripe_webhook_secrets:
            document["paths"] = {path: operations for path, operations in PATHS.items() if path != STRIPE_PATH}
        self._document = msgspec.json.encode(document)

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the description."""
        resp.data = self._document

    on_head = on_get
