"""Functions that resources share to read requests and write answers."""

import re
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

import falcon
import falcon.asgi
import msgspec
import uuid_utils

from service.errors import INVALID_REQUEST, Problem, refusal

BODY_LIMIT_BYTES = 16 * 1024
STRIPE_BODY_LIMIT_BYTES = 256 * 1024  # Stripe's events; nginx's example has the same limits
NUMBER = re.compile(r"[0-9]{1,19}")
ID = re.compile(r"[1-9][0-9]{0,18}")
BIGINT_MAXIMUM = 2**63 - 1

# A procedure's BIGINT. The procedure decides which of these numbers are valid.
BigInt = Annotated[int, msgspec.Meta(ge=-(2**63), le=BIGINT_MAXIMUM)]

BIGINT_DIGITS = 19

Body = TypeVar("Body")


async def read_body(request: falcon.asgi.Request, decoder: "msgspec.json.Decoder[Body]") -> Body:
    """Read and decode a JSON body. Raises Problem 400, 413, 415 or 422."""
    return decode(await read_bytes(request), decoder)


async def read_optional_body(request: falcon.asgi.Request, decoder: "msgspec.json.Decoder[Body]") -> Body | None:
    """Read and decode a JSON body; None without a body, whatever the headers say. Raises as `read_body`."""
    body = await _read_stream(request, BODY_LIMIT_BYTES)
    if not body:
        return None
    _require_json(request)
    return decode(body, decoder)


async def read_bytes(request: falcon.asgi.Request, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
    """Read the body of a request whose content type is JSON. Raises Problem 413 or 415."""
    _require_json(request)
    return await _read_stream(request, limit_bytes)


def _require_json(request: falcon.asgi.Request) -> None:
    if (request.get_header("Content-Encoding") or "identity").strip().lower() != "identity":
        raise Problem("invalid_request", 415, "Send the body without a Content-Encoding.", errno=INVALID_REQUEST)
    media_type = (request.content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("invalid_request", 415, "Send application/json.", errno=INVALID_REQUEST)


async def _read_stream(request: falcon.asgi.Request, limit_bytes: int) -> bytes:
    body = await request.stream.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        raise Problem("invalid_request", 413, f"Send at most {limit_bytes} bytes.", errno=INVALID_REQUEST)
    return body


def decode(body: bytes, decoder: "msgspec.json.Decoder[Body]") -> Body:
    """Decode a JSON body. Raises Problem 400 where it is not JSON, 422 where a member has the wrong type."""
    try:
        # Decode all of it: the JSON decoder skips unknown members, and would miss invalid UTF-8 in them.
        text = body.decode()
        try:
            return decoder.decode(text)
        except msgspec.ValidationError:
            # The decoder stopped at the first wrong type. The rest may not be JSON, or the value may be 2.0 for 2.
            return decoder.decode(encode(_UNTYPED.decode(text)))
    except msgspec.ValidationError as error:
        raise refusal(INVALID_REQUEST, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(INVALID_REQUEST, f"The body is not JSON: {error}", status=400) from None


def _number(text: str) -> int | msgspec.Raw:
    """Convert a JSON number with a point or an exponent to int where it has no fraction; else leave it as it is."""
    with suppress(InvalidOperation):  # the exponent has more digits than Decimal can read
        number = Decimal(text)
        if number.adjusted() < BIGINT_DIGITS and number == number.to_integral_value():
            return int(number)
    return msgspec.Raw(text.encode())


_UNTYPED = msgspec.json.Decoder(float_hook=_number)


def idempotency_key(request: falcon.asgi.Request, response: falcon.asgi.Response) -> tuple[str, bool]:
    """Return the request's Idempotency-Key and whether it was generated here; the answer carries it in any case.

    Raises Problem 422 where the header is not UTF-8 or was sent more than once.
    """
    key, is_generated = set_idempotency_key_header(request, response)
    # A server joins the values of a repeated header with commas, which a key may contain as well.
    if "," in key and [name for name, _ in request.scope["headers"]].count(b"idempotency-key") > 1:
        raise refusal(INVALID_REQUEST, "Send one Idempotency-Key.")
    try:
        return key.encode("latin-1").decode(), is_generated
    except UnicodeDecodeError:
        raise refusal(INVALID_REQUEST, "Idempotency-Key is not UTF-8.") from None


def set_idempotency_key_header(request: falcon.Request, response: falcon.Response) -> tuple[str, bool]:
    """Set the answer's Idempotency-Key to the request's or to a new one; return it and whether it is new."""
    given = request.get_header("Idempotency-Key")
    key = str(uuid_utils.uuid7()) if given is None else given
    response.set_header("Idempotency-Key", key)
    return key, given is None


def parse_id(text: str, not_found_errno: int) -> int:
    """Convert an id in a path. Raises Problem 404, with the given errno, for text that cannot be an id."""
    if not ID.fullmatch(text) or (number := int(text)) > BIGINT_MAXIMUM:
        raise refusal(not_found_errno)
    return number


def page_parameters(request: falcon.asgi.Request) -> tuple[int, int]:
    """Return the parameters `after` and `limit` of a list. Raises Problem 422."""
    after = number_parameter(request, "after", default=0, minimum=0, maximum=BIGINT_MAXIMUM)
    limit = number_parameter(request, "limit", default=50, minimum=1, maximum=200)
    return after, limit


def number_parameter(request: falcon.asgi.Request, name: str, *, default: int, minimum: int, maximum: int) -> int:
    """Return a parameter of the query as a number in its range. Raises Problem 422."""
    text = request.params.get(name, str(default))
    # A parameter that is given twice is a list.
    if not isinstance(text, str) or not NUMBER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise refusal(INVALID_REQUEST, f"{name} is a number from {minimum} to {maximum}.")
    return int(text)


def text_parameter(request: falcon.asgi.Request, name: str, *, maximum_bytes: int) -> str | None:
    """Return a parameter of the query as text, None if it is missing. Raises Problem 422."""
    text = request.params.get(name)
    if text is None:
        return None
    # Falcon replaces what is not UTF-8, which would make another text of it.
    is_utf8 = unquote(request.query_string, errors="ignore") == unquote(request.query_string)
    if not is_utf8 or not isinstance(text, str) or not 1 <= len(text.encode()) <= maximum_bytes:
        raise refusal(INVALID_REQUEST, f"{name} is one text of 1 to {maximum_bytes} bytes in UTF-8.")
    return text


# Writes a Decimal as a number with its own digits: an amount never becomes a binary floating-point number.
encode = msgspec.json.Encoder(decimal_format="number").encode


@lru_cache  # the holds of a batch share their deadline
def utc(moment: datetime) -> str:
    """Format a DATETIME of MySQL, which is in UTC, as `2025-12-02T18:30:00Z`."""
    return f"{moment.isoformat()}Z"


def money(amount: Decimal) -> Decimal:
    """Cut a second zero after the point off a DECIMAL of two places: 100.00 becomes 100.0, and 0.10 becomes 0.1."""
    digits = str(amount)
    return Decimal(digits[:-1]) if digits.endswith("0") else amount


def send_json(response: falcon.asgi.Response, document: Any, *, replayed: int = 0) -> None:
    """Answer with a JSON document; a replay is marked by `Idempotent-Replayed: true`."""
    response.data = encode(document)
    if replayed:
        response.set_header("Idempotent-Replayed", "true")


def send_page(response: falcon.asgi.Response, rows: list[Any], limit: int) -> None:
    """Answer with `limit` rows, whose first column is the id. One row more, if there is one, tells of a next page."""
    items = [row.document() for row in rows[:limit]]
    send_json(response, {"items": items, "next": rows[limit - 1][0] if len(rows) > limit else None})
