"""Baseline "Redis only": one Lua script per request checks and decrements the stock. A crash of Redis loses holds."""

import os
from typing import Any

import falcon.asgi
import msgspec
from redis.asyncio import BlockingConnectionPool, Redis

from bench.baselines import web
from service.errors import INSUFFICIENT_STOCK, refusal
from service.requests import read_body, utc

# KEYS: stock, last hold id. ARGV: product id, quantity, expires_at. Returns the hold's id, or nil if the stock is
# insufficient.
HOLD_SCRIPT = """
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
        self._hold = Redis(connection_pool=pool).register_script(HOLD_SCRIPT)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Hold units of a product."""
        web.set_idempotency_key_header(req, resp)
        body = await read_body(req, self._decoder)
        expires_at = utc(web.hold_expiry())
        keys = [f"stock:{body.product_id}", "last_hold_id"]
        hold_id = await self._hold(keys=keys, args=[body.product_id, body.quantity, expires_at])
        if hold_id is None:
            raise refusal(INSUFFICIENT_STOCK)
        web.send_json(resp, {"hold_id": hold_id, "expires_at": expires_at}, created=True)


def create_app() -> falcon.asgi.App[Any, Any]:
    """Create the ASGI application."""
    app = web.asyncio_app()
    app.add_route("/api/holds", Holds(os.environ["REDIS_URL"], int(os.environ["POOL_SIZE"])))
    return app
