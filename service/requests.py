"""What resources share: reading a request, and writing an answer."""

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import falcon
import falcon.asgi
import msgspec
import uuid_utils

from service.errors import INVALID_REQUEST, Problem, refusal

BODY_LIMIT_BYTES = 16 * 1024
ID = re.compile(r"[1-9][0-9]{0,18}")
BIGINT_MAXIMUM = 2**63 - 1

# A procedure's BIGINT. Which of these numbers make sense is for the procedure to say.
BigInt = Annotated[int, msgspec.Meta(ge=-(2**63), le=BIGINT_MAXIMUM)]

LARGEST_DIGITS = 19  # of a BIGINT

Body = TypeVar("Body")


async def read_body(request: falcon.asgi.Request, decoder: "msgspec.json.Decoder[Body]") -> Body:
    """The JSON body of a request; raises Problem 400, 413, 415 or 422."""
    return decode(await read_bytes(request), decoder)


async def read_bytes(request: falcon.asgi.Request) -> bytes:
    """The body of a request that says it is JSON; raises Problem 413 or 415."""
    if (request.get_header("Content-Encoding") or "identity").strip().lower() != "identity":
        raise Problem("invalid_request", 415, "Send the body without a Content-Encoding.", errno=INVALID_REQUEST)
    media_type = (request.content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("invalid_request", 415, "Send application/json.", errno=INVALID_REQUEST)
    body = await request.stream.read(BODY_LIMIT_BYTES + 1)
    if len(body) > BODY_LIMIT_BYTES:
        raise Problem("invalid_request", 413, f"Send at most {BODY_LIMIT_BYTES} bytes.", errno=INVALID_REQUEST)
    return body


def decode(body: bytes, decoder: "msgspec.json.Decoder[Body]") -> Body:
    """What a body of JSON says; raises Problem 400 or 422."""
    try:
        # The decoder does not look into members that it passes over: bad UTF-8 there is bad all the same.
        text = body.decode()
        try:
            return decoder.decode(text)
        except msgspec.ValidationError:
            # It stopped at the first wrong type: what follows may not be JSON, and what it met may be 2.0 for 2.
            document = _UNTYPED.decode(text)
        try:
            return decoder.decode(encode(document))
        except msgspec.ValidationError as error:
            raise refusal(INVALID_REQUEST, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(INVALID_REQUEST, f"The body is not JSON: {error}", status=400) from None


def _number(text: str) -> int | Decimal:
    """Return a JSON number that is written with a point or an exponent: an integer if it has no fraction."""
    number = Decimal(text)
    if number.adjusted() < LARGEST_DIGITS and number == number.to_integral_value():
        return int(number)
    return number


_UNTYPED = msgspec.json.Decoder(float_hook=_number)


def idempotency_key(request: falcon.asgi.Request, response: falcon.asgi.Response) -> tuple[str, bool]:
    """The request's key, and whether it was made here; the answer carries it, whatever it will be.

    Raises Problem 422 where the header is not UTF-8, or was sent more than once.
    """
    key, made = set_idempotency_key_header(request, response)
    # A server joins the values of a repeated header with commas, which a key may contain as well.
    if "," in key and [name for name, _ in request.scope["headers"]].count(b"idempotency-key") > 1:
        raise refusal(INVALID_REQUEST, "Send one Idempotency-Key.")
    try:
        return key.encode("latin-1").decode(), made
    except UnicodeDecodeError:
        raise refusal(INVALID_REQUEST, "Idempotency-Key is not UTF-8.") from None


def set_idempotency_key_header(request: falcon.Request, response: falcon.Response) -> tuple[str, bool]:
    """Let an answer carry the request's key, as it came, or a new one; returns it, and whether it is new."""
    given = request.get_header("Idempotency-Key")
    key = str(uuid_utils.uuid7()) if given is None else given
    response.set_header("Idempotency-Key", key)
    return key, given is None


def parse_id(text: str, not_found_errno: int) -> int:
    """An id out of a path; what cannot be one is not found. Raises Problem 404."""
    if not ID.fullmatch(text) or int(text) > BIGINT_MAXIMUM:
        raise refusal(not_found_errno)
    return int(text)


# A Decimal is written as a number with its own digits, without passing through binary floating point.
encode = msgspec.json.Encoder(decimal_format="number").encode


@lru_cache  # a batch's holds expire together
def utc(moment: datetime) -> str:
    """A DATETIME, which is UTC without saying so, as `2025-12-02T18:30:00Z`."""
    return f"{moment.isoformat()}Z"


def money(amount: Decimal) -> Decimal:
    """A DECIMAL of two places as JSON shows it: its own digits, of trailing zeros at most one after the point."""
    digits = str(amount)
    return Decimal(digits[:-1]) if digits.endswith("0") else amount


def send_json(response: falcon.asgi.Response, document: Any, *, replayed: int = 0) -> None:
    """Answer with a JSON document, marked when it is a replay."""
    response.data = encode(document)
    if replayed:
        response.set_header("Idempotent-Replayed", "true")
