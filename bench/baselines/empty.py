"""Baseline "empty answer": responds `{}` to GET and to POST, whose body it reads. The upper limit of the web stack."""

from typing import Any

import falcon.asgi

from bench.baselines import web


class Empty:
    """All paths that the load generator requests."""

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response, **_parameters: str) -> None:
        """Respond at once."""
        resp.data = b"{}"

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Read the body and respond."""
        await req.stream.read()
        resp.data = b"{}"


def create_app() -> falcon.asgi.App[Any, Any]:
    """Create the ASGI application."""
    app = web.asyncio_app()
    app.add_route("/api/holds", Empty())
    app.add_route("/api/products/{product_id}", Empty())
    return app
