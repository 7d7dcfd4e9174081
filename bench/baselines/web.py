"""What the baselines share with the service: headers, bodies, keys. None writes a log line, which the service does."""

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
    """The service's headers, for WSGI."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Name the request."""
        resp.set_header("X-Request-Id", req.get_header("X-Request-Id") or str(uuid_utils.uuid7()))
        resp.set_header("Cache-Control", "no-store")


def threaded_app() -> falcon.App[Any, Any]:
    """A WSGI application with the service's headers and errors."""
    app = falcon.App(middleware=[ThreadedHeaders()])
    app.set_error_serializer(serialize)
    return app


def asyncio_app() -> falcon.asgi.App[Any, Any]:
    """An ASGI application with the service's headers and errors."""
    app = falcon.asgi.App(middleware=[CommonHeaders()])
    app.set_error_serializer(serialize)
    return app


def read(request: falcon.Request, decoder: "msgspec.json.Decoder[Any]") -> Any:
    """The JSON body of a WSGI request."""
    return decoder.decode(request.bounded_stream.read())


def idempotency_key(request: falcon.Request | falcon.asgi.Request, response: Any) -> str:
    """The request's key, or a new one; the answer carries it."""
    key = request.get_header("Idempotency-Key") or str(uuid_utils.uuid7())
    response.set_header("Idempotency-Key", key)
    return key


def deadline() -> datetime:
    """When a hold made now expires: a whole second, UTC, without saying so, as MySQL wants it."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(seconds=HOLD_TTL_S + 1)


def answer(response: Any, document: Json, *, created: bool = False) -> None:
    """Answer with a JSON document."""
    response.status = falcon.HTTP_201 if created else falcon.HTTP_200
    response.data = msgspec.json.encode(document)
