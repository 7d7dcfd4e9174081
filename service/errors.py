"""The registry of errors, and how an error becomes an `application/problem+json` answer (RFC 9457)."""

from dataclasses import dataclass
from typing import Any

import falcon
import msgspec

PROBLEM_TYPE_PREFIX = "urn:flash-sale-checkout:"
PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

# The errnos that procedures SIGNAL (sql/procedures/raise_error.sql); a test compares both lists.
INVALID_REQUEST = 30001
IDEMPOTENCY_KEY_REUSED = 30002
TRANSACTION_IN_PROGRESS = 30003
PRODUCT_NOT_FOUND = 30101
INSUFFICIENT_STOCK = 30102
QUANTITY_OUT_OF_RANGE = 30103
SALE_NOT_OPEN = 30104
CUSTOMER_LIMIT_REACHED = 30105
CUSTOMER_ID_REQUIRED = 30106
PRODUCT_ARCHIVED = 30107
HOLD_NOT_FOUND = 30201
HOLD_EXPIRED = 30202
HOLD_ALREADY_USED = 30203
HOLD_RELEASED = 30204
ORDER_NOT_FOUND = 30301
ORDER_ALREADY_PAID = 30302
ORDER_CANCELLED = 30303
ORDER_NOT_PAID = 30304
REFUND_EXCEEDS_ORDER = 30305
PAYMENT_NOT_FOUND = 30401
REFUND_NOT_DUE = 30402
REVIEW_NOT_DUE = 30403
EVENTS_PURGED = 30501
EVENT_RECEIVER_NOT_FOUND = 30502
EVENT_RETRY_NOT_FOUND = 30503


@dataclass(frozen=True, slots=True)
class Error:
    """An error of the registry: its slug, its HTTP status, and a detail that says what to do."""

    slug: str
    status: int
    detail: str


ERRORS = {
    INVALID_REQUEST: Error(
        "invalid_request", 422, "A value is out of its range, or the values do not fit together; /docs has the limits."
    ),
    IDEMPOTENCY_KEY_REUSED: Error(
        "idempotency_key_reused", 409, "This Idempotency-Key belongs to another request; use a new one."
    ),
    TRANSACTION_IN_PROGRESS: Error(
        "transaction_in_progress", 500, "The procedure was called inside an open transaction."
    ),
    PRODUCT_NOT_FOUND: Error("product_not_found", 404, "There is no such product."),
    INSUFFICIENT_STOCK: Error(
        "insufficient_stock", 409, "Fewer units are available; ask for fewer, or try again later."
    ),
    QUANTITY_OUT_OF_RANGE: Error(
        "quantity_out_of_range", 422, "The product's maximum per hold is lower, or the hold has fewer units already."
    ),
    SALE_NOT_OPEN: Error("sale_not_open", 409, "The product is not on sale now."),
    CUSTOMER_LIMIT_REACHED: Error(
        "customer_limit_reached", 409, "The customer would have more units of this product than one customer may have."
    ),
    CUSTOMER_ID_REQUIRED: Error(
        "customer_id_required", 422, "This product has a maximum per customer; send customer_id."
    ),
    PRODUCT_ARCHIVED: Error("product_archived", 410, "The product is archived and is not sold any more."),
    HOLD_NOT_FOUND: Error("hold_not_found", 404, "There is no such hold."),
    HOLD_EXPIRED: Error(
        "hold_expired", 410, "The hold has expired and its units are available again; make a new hold."
    ),
    HOLD_ALREADY_USED: Error("hold_already_used", 409, "The hold has become an order already."),
    HOLD_RELEASED: Error("hold_released", 409, "The hold was released; make a new hold."),
    ORDER_NOT_FOUND: Error("order_not_found", 404, "There is no such order."),
    ORDER_ALREADY_PAID: Error(
        "order_already_paid", 409, "The order is paid or refunded: it can be neither cancelled nor given more time."
    ),
    ORDER_CANCELLED: Error(
        "order_cancelled", 409, "The order is cancelled and its units are available again; make a new hold."
    ),
    ORDER_NOT_PAID: Error("order_not_paid", 409, "Only a paid order can be refunded."),
    REFUND_EXCEEDS_ORDER: Error(
        "refund_exceeds_order", 409, "Fewer units of the order are left to refund; its lines show what was refunded."
    ),
    PAYMENT_NOT_FOUND: Error("payment_not_found", 404, "There is no payment event with this key."),
    REFUND_NOT_DUE: Error("refund_not_due", 409, "No refund is due for this payment event."),
    REVIEW_NOT_DUE: Error("review_not_due", 409, "This payment event needs no review."),
    EVENTS_PURGED: Error(
        "events_purged",
        410,
        "Events after this position are purged; go on from 0, and read the orders whose end you have missed.",
    ),
    EVENT_RECEIVER_NOT_FOUND: Error("event_receiver_not_found", 404, "There is no such receiver of events."),
    EVENT_RETRY_NOT_FOUND: Error(
        "event_retry_not_found", 404, "The receiver has accepted this event, or it has not been sent yet."
    ),
}


class Problem(falcon.HTTPError):
    """An error answer of slug, status and detail.

    `errno` is the number that a CALL raises for the same error; `members` are added to the document. A 503 always
    carries Retry-After.
    """

    def __init__(
        self,
        slug: str,
        status: int,
        detail: str,
        *,
        errno: int | None = None,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        if status == 503:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
        super().__init__(status, description=detail, headers=headers)
        self.slug = slug
        self.errno = errno
        self.members = members


def refusal(errno: int, detail: str | None = None, status: int | None = None, **members: Any) -> Problem:
    """Return the problem of an errno of the registry, with further members."""
    error = ERRORS[errno]
    return Problem(error.slug, status or error.status, detail or error.detail, errno=errno, **members)


class SettingsError(ValueError):
    """A setting that is missing or cannot be used; the message names it and says what is expected."""


class Overloaded(Exception):
    """The queue is full, or a request's deadline passed before it was answered."""


class DatabaseUnavailable(Exception):
    """MySQL cannot serve now; a later retry may succeed."""


def unavailable(error: Exception) -> Problem:
    """Return the 503 of a request whose outcome is unknown; a retry with the same Idempotency-Key settles it."""
    slug = "overloaded" if isinstance(error, Overloaded) else "database_unavailable"
    detail = "The outcome is unknown; send the request again with the same Idempotency-Key."
    return Problem(slug, 503, detail)


def encode_problem(error: falcon.HTTPError) -> bytes:
    """Encode an HTTP error, ours or Falcon's, as a problem document."""
    if isinstance(error, Problem):
        slug, members = error.slug, {"errno": error.errno, **error.members}
    else:
        # Falcon's own titles are status lines: "404 Not Found".
        slug, members = error.title.partition(" ")[2].lower().replace(" ", "_"), {"errno": None}
    document = {
        "type": PROBLEM_TYPE_PREFIX + slug,
        "title": slug.replace("_", " ").capitalize(),
        "status": error.status_code,
        "detail": error.description or slug.replace("_", " ").capitalize() + ".",
        "code": slug,
        **members,
    }
    return msgspec.json.encode(document)


def serialize(_request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an HTTP error as the answer."""
    response.data = encode_problem(error)
    response.content_type = PROBLEM_MEDIA_TYPE
