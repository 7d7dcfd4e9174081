"""Baseline "one CALL, asyncio": one `CALL create_hold` per request over the service's `Connection`, unbatched."""

import asyncio
import os
from typing import Any

import falcon.asgi
import msgspec

from bench.baselines import web
from service.database import Connection
from service.mysql_url import MysqlUrl
from service.primary import Primary
from service.requests import read_body, utc


class Holds:
    """`/api/holds`."""

    def __init__(self, url: str, pool_size: int) -> None:
        self._decoder = msgspec.json.Decoder(web.HoldBody)
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        primary = Primary(MysqlUrl.parse(url))
        for _ in range(pool_size):
            self._idle.put_nowait(Connection(primary))

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Hold units of a product."""
        key = web.set_idempotency_key_header(req, resp)
        body = await read_body(req, self._decoder)
        connection = await self._idle.get()
        try:
            ((row,),) = await connection.call("create_hold", body.product_id, body.quantity, key)
        finally:
            self._idle.put_nowait(connection)
        hold_id, expires_at, _replayed = row
        web.send_json(resp, {"hold_id": hold_id, "expires_at": utc(expires_at)}, created=True)


def create_app() -> falcon.asgi.App[Any, Any]:
    """Create the ASGI application."""
    app = web.asyncio_app()
    app.add_route("/api/holds", Holds(os.environ["BASELINE_URL"], int(os.environ["POOL_SIZE"])))
    return app
