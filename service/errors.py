"""The registry of errors, and how one becomes an `application/problem+json` answer (RFC 9457)."""

from dataclasses import dataclass
from typing import Any

import falcon
import msgspec

PROBLEM_TYPE_PREFIX = "urn:flash-sale-checkout:"
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Error:
    """One kind of refusal: the slug that a CALL signals, the HTTP status, and what to do about it."""

    slug: str
    status: int
    detail: str


HOLD_ALREADY_USED = 30203

# The numbers that procedures SIGNAL (sql/procedures/raise_error.sql). A test holds the two together.
ERRORS = {
    30001: Error("invalid_request", 422, "The request is not valid; correct it and send it again."),
    30002: Error("idempotency_key_reused", 409, "This Idempotency-Key belongs to another request; use a new one."),
    30003: Error("transaction_in_progress", 500, "The procedure was called inside an open transaction."),
    30101: Error("product_not_found", 404, "There is no such product."),
    30102: Error("insufficient_stock", 409, "Fewer units are available; ask for fewer, or try again later."),
    30103: Error("quantity_out_of_range", 422, "One hold may not take so many units of this product."),
    30104: Error("sale_not_open", 409, "The product is not on sale now."),
    30105: Error("customer_limit_reached", 409, "The customer has as many units of this product as one may have."),
    30106: Error("customer_id_required", 422, "This product has a maximum per customer; send customer_id."),
    30201: Error("hold_not_found", 404, "There is no such hold."),
    30202: Error("hold_expired", 410, "The hold's time is over and its stock went back; make a new hold."),
    30203: Error("hold_already_used", 409, "The hold has become an order already."),
    30204: Error("hold_released", 409, "The hold was released; make a new hold."),
    30301: Error("order_not_found", 404, "There is no such order."),
    30302: Error("order_already_paid", 409, "The order is paid and cannot be cancelled."),
    30303: Error("order_cancelled", 409, "The order is cancelled and its stock went back; make a new hold."),
    30401: Error("payment_not_found", 404, "There is no payment event with this key."),
    30402: Error("refund_not_due", 409, "No refund is due for this payment event."),
}


class Problem(falcon.HTTPError):
    """An error answer; `errno` is the number that a CALL raises, `members` are added to the document."""

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
    """The problem behind an errno of the registry."""
    error = ERRORS[errno]
    return Problem(error.slug, status or error.status, detail or error.detail, errno=errno, **members)


class Overloaded(Exception):
    """The queue is full, or a request's deadline passed before its answer came."""


class DatabaseUnavailable(Exception):
    """MySQL is away, or kept failing in a way that a later retry may mend."""


def unavailable(error: Exception) -> Problem:
    """The 503 of a request whose outcome is unknown: the same Idempotency-Key settles it."""
    slug = "overloaded" if isinstance(error, Overloaded) else "database_unavailable"
    detail = "The outcome is unknown; send the request again with the same Idempotency-Key."
    return Problem(slug, 503, detail)


def serialize(_request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    """Write any HTTP error, ours or the framework's, as a problem document."""
    if isinstance(error, Problem):
        slug, members = error.slug, {"errno": error.errno, **error.members}
    else:
        # The framework's own titles are status lines: "404 Not Found".
        slug, members = error.title.partition(" ")[2].lower().replace(" ", "_"), {"errno": None}
    document = {
        "type": PROBLEM_TYPE_PREFIX + slug,
        "title": slug.replace("_", " ").capitalize(),
        "status": error.status_code,
        "detail": error.description or slug.replace("_", " ").capitalize() + ".",
        "code": slug,
        **members,
    }
    response.data = msgspec.json.encode(document)
    response.content_type = "application/problem+json"
