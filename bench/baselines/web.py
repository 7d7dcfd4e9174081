"""Headers, bodies and keys of the baselines, like those of the service. The baselines write no log lines."""

from datetime import UTC, datetime, timedelta
from typing import Any

import falcon
import falcon.asgi
import msgspec
import uuid_utils

from service.app import CommonHeaders
from service.errors import serialize
from service.requests import BigInt

HOLD_TTL_S = 120

Json = dict[str, Any]


class HoldBody(msgspec.Struct):
    """The body of POST /api/holds."""

    product_id: BigInt
    quantity: BigInt


class ThreadedHeaders:
    """Middleware that sets the service's headers, for WSGI."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Set X-Request-Id and Cache-Control on every response."""
        resp.set_header("X-Request-Id", req.get_header("X-Request-Id") or str(uuid_utils.uuid7()))
        resp.set_header("Cache-Control", "no-store")


def threaded_app() -> falcon.App[Any, Any]:
    """Create a WSGI application with the service's headers and errors."""
    app = falcon.App(middleware=[ThreadedHeaders()])
    app.set_error_serializer(serialize)
    return app


def asyncio_app() -> falcon.asgi.App[Any, Any]:
    """Create an ASGI application with the service's headers and errors."""
    app = falcon.asgi.App(middleware=[CommonHeaders()])
    app.set_error_serializer(serialize)
    return app


def read_json(request: falcon.Request, decoder: "msgspec.json.Decoder[Any]") -> Any:
    """Decode the JSON body of a WSGI request."""
    return decoder.decode(request.bounded_stream.read())


def set_idempotency_key_header(request: falcon.Request | falcon.asgi.Request, response: Any) -> str:
    """Return the request's idempotency key or generate one, and set it as a header of the response."""
    key = request.get_header("Idempotency-Key") or str(uuid_utils.uuid7())
    response.set_header("Idempotency-Key", key)
    return key


def hold_expiry() -> datetime:
    """Return when a hold made now expires: a whole second in UTC, without time zone as MySQL expects it."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(seconds=HOLD_TTL_S + 1)


def send_json(response: Any, document: Json, *, created: bool = False) -> None:
    """Write a JSON document to the response, with status 201 if something was created, else 200."""
    response.status = falcon.HTTP_201 if created else falcon.HTTP_200
    response.data = msgspec.json.encode(document)
