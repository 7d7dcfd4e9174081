"""Baseline 3: stock in Redis, one Lua check-and-decrement a request. Not durable: a crash of Redis loses holds."""

import os
from typing import Any

import falcon.asgi
import msgspec
from redis.asyncio import BlockingConnectionPool, Redis

from bench.baselines import web
from service.errors import refusal
from service.requests import read_body, utc

# KEYS: stock, last id. ARGV: product, quantity, expires_at. Answers the hold's id, nothing where units are short.
HOLD = """
local available = tonumber(redis.call('GET', KEYS[1]))
if available < tonumber(ARGV[2]) then
  return nil
end
redis.call('DECRBY', KEYS[1], ARGV[2])
local hold_id = redis.call('INCR', KEYS[2])
redis.call('HSET', 'hold:' .. hold_id, 'product_id', ARGV[1], 'quantity', ARGV[2], 'expires_at', ARGV[3])
return hold_id
"""


class Holds:
    """`/api/holds`."""

    def __init__(self, url: str, pool_size: int) -> None:
        self._decoder = msgspec.json.Decoder(web.HoldBody)
        pool = BlockingConnectionPool.from_url(url, max_connections=pool_size)
        self._hold = Redis(connection_pool=pool).register_script(HOLD)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Reserve units of a product."""
        web.idempotency_key(req, resp)
        body = await read_body(req, self._decoder)
        expires_at = utc(web.deadline())
        keys = [f"stock:{body.product_id}", "last_hold_id"]
        hold_id = await self._hold(keys=keys, args=[body.product_id, body.quantity, expires_at])
        if hold_id is None:
            raise refusal(30102)
        web.answer(resp, {"hold_id": hold_id, "expires_at": expires_at}, created=True)


def create_app() -> falcon.asgi.App[Any, Any]:
    """The ASGI application."""
    app = web.asyncio_app()
    app.add_route("/api/holds", Holds(os.environ["REDIS_URL"], int(os.environ["POOL_SIZE"])))
    return app
