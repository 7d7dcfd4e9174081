"""Products: one from the cache, pages from MySQL, and streams of stock."""

import falcon.asgi

from service.errors import PRODUCT_NOT_FOUND, refusal
from service.procedure_client import ProcedureClient
from service.requests import page_parameters, parse_id, send_page
from service.rows import ProductPage
from service.streams import StockFeed


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
        after, limit = page_parameters(req)
        send_page(resp, await self._procedures.list_products(ProductPage(after, limit + 1)), limit)

    on_head = on_get
