"""Baseline 4, the ceiling: a POST that reads its body and a GET, with nothing behind them."""

from typing import Any

import falcon.asgi

from bench.baselines import web


class Empty:
    """Every path that the loads ask for."""

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response, **_parameters: str) -> None:
        """Answer at once."""
        resp.data = b"{}"

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Read the body and answer."""
        await req.stream.read()
        resp.data = b"{}"


def create_app() -> falcon.asgi.App[Any, Any]:
    """The ASGI application."""
    app = web.asyncio_app()
    app.add_route("/api/holds", Empty())
    app.add_route("/api/products/{product_id}", Empty())
    return app
