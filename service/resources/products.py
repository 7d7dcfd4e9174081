"""Products: one from the cache, pages from MySQL, and streams of stock."""

import re

import falcon.asgi

from service.errors import INVALID_REQUEST, PRODUCT_NOT_FOUND, refusal
from service.procedure_client import ProcedureClient
from service.requests import parse_id, send_json
from service.rows import Page
from service.streams import StockFeed

NUMBER = re.compile(r"[0-9]{1,19}")


class ProductResource:
    """`/api/products/{id}`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response, product_id: str) -> None:
        """Show one product with its stock."""
        body = await self._procedures.get_product_body(parse_id(product_id, PRODUCT_NOT_FOUND))
        if body is None:
            raise refusal(PRODUCT_NOT_FOUND)
        resp.data = body

    on_head = on_get


class StockStreamResource:
    """`/api/products/{id}/stock/stream`."""

    def __init__(self, feed: StockFeed) -> None:
        self._feed = feed

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, product_id: str) -> None:
        """Stream the product now and after each change, as server-sent events whose id is the stock's version."""
        last_event_id = req.get_header("Last-Event-ID", default="")
        listener = await self._feed.listen(parse_id(product_id, PRODUCT_NOT_FOUND), last_event_id)
        if listener is None:
            raise refusal(PRODUCT_NOT_FOUND)
        resp.content_type = "text/event-stream"
        resp.set_header("X-Accel-Buffering", "no")  # else nginx buffers events
        resp.stream = listener

    on_head = on_get


class ProductsResource:
    """`/api/products`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show a page of products in the order of their ids."""
        limit = _parameter(req, "limit", default=50, minimum=1, maximum=200)
        after = _parameter(req, "after", default=0, minimum=0, maximum=2**63 - 1)
        # One row more than asked for shows whether there is a next page.
        products = await self._procedures.list_products(Page(after, limit + 1))
        items = [product.document() for product in products[:limit]]
        send_json(resp, {"items": items, "next": items[-1]["id"] if len(products) > limit else None})

    on_head = on_get


def _parameter(req: falcon.asgi.Request, name: str, *, default: int, minimum: int, maximum: int) -> int:
    text = req.params.get(name, str(default))
    # A parameter that is given twice is a list.
    if not isinstance(text, str) or not NUMBER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise refusal(INVALID_REQUEST, f"{name} is a number from {minimum} to {maximum}.")
    return int(text)
