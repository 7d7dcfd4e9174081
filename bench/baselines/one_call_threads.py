"""Baseline "one CALL, threads": one `CALL create_hold` per request over a pool of connections, unbatched."""

import os
from typing import Any

import falcon
import msgspec

from bench.baselines import web
from bench.baselines.pool import Pool
from service.requests import utc


class Holds:
    """`/api/holds`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._decoder = msgspec.json.Decoder(web.HoldBody)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Hold units of a product."""
        key = web.set_idempotency_key_header(req, resp)
        body: web.HoldBody = web.read_json(req, self._decoder)
        with self._pool.cursor() as cursor:
            cursor.execute("CALL create_hold(%s, %s, %s)", (body.product_id, body.quantity, key))
            ((hold_id, expires_at, _replayed),) = cursor.fetchall()
            while cursor.nextset():
                pass
        web.send_json(resp, {"hold_id": hold_id, "expires_at": utc(expires_at)}, created=True)


def create_app() -> falcon.App[Any, Any]:
    """Create the WSGI application."""
    pool = Pool(os.environ["BASELINE_URL"], int(os.environ["POOL_SIZE"]), autocommit=True)
    app = web.threaded_app()
    app.add_route("/api/holds", Holds(pool))
    return app
