"""Orders: create, read, list, cancel, start the payment."""

from typing import Annotated, Any

import falcon.asgi
import msgspec
import structlog

from service.errors import ORDER_NOT_FOUND
from service.procedure_client import ProcedureClient
from service.requests import (
    BigInt,
    idempotency_key,
    page_parameters,
    parse_id,
    read_body,
    read_optional_body,
    send_json,
    send_page,
    text_parameter,
    utc,
)
from service.resources.outcomes import accepted_row, require_accepted
from service.rows import CancelledOrder, CreatedOrder, OrderPage, OrderRequest, PaymentStart, ScopedId

log = structlog.get_logger()


class OrderBody(msgspec.Struct):
    """The body of POST /api/orders: either member."""

    hold_id: BigInt | None = None
    hold_ids: Annotated[list[BigInt], msgspec.Meta(min_length=1, max_length=50)] | None = None


class PaymentStartBody(msgspec.Struct):
    """The optional body of POST /api/orders/{id}/start-payment."""

    window_s: BigInt | None = None


def _name_holds(row: CreatedOrder | CancelledOrder) -> dict[str, Any]:
    """The member of an answer that names the hold or the holds of an order."""
    if row.hold_ids is None:
        return {"hold_id": row.hold_id}
    return {"hold_ids": msgspec.json.decode(row.hold_ids)}


class OrdersResource:
    """`/api/orders`."""

    def __init__(self, procedures: ProcedureClient, path_prefix: str) -> None:
        self._procedures = procedures
        self._path_prefix = path_prefix
        self._decoder = msgspec.json.Decoder(OrderBody)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Turn one or several holds into an order."""
        key, is_generated = idempotency_key(req, resp)
        body = await read_body(req, self._decoder)
        request = OrderRequest(key, is_generated, req.context.caller, body.hold_id, body.hold_ids)
        holds = {"hold_id": body.hold_id} if body.hold_ids is None else {"hold_ids": body.hold_ids}
        order, log_fields = await accepted_row(req, "order", self._procedures.create_order(request), **holds)
        log.info(
            "order_created",
            order_id=order.order_id,
            product_id=order.product_id,
            quantity=order.quantity,
            status=order.status,
            replayed=bool(order.replayed),
            **log_fields,
        )
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{self._path_prefix}/api/orders/{order.order_id}")
        send_json(
            resp,
            {"order_id": order.order_id, **_name_holds(order), "status": order.status},
            replayed=order.replayed,
        )

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show a page of the caller's orders, of one customer if one is named, in the order of their ids."""
        customer_id = text_parameter(req, "customer_id", maximum_bytes=64)
        after, limit = page_parameters(req)
        page = OrderPage(req.context.caller, customer_id, after, limit + 1)
        send_page(resp, await self._procedures.list_orders(page), limit)

    on_head = on_get


class OrderResource:
    """`/api/orders/{id}`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, order_id: str) -> None:
        """Show one order."""
        order = await self._procedures.get_order(ScopedId(parse_id(order_id, ORDER_NOT_FOUND), req.context.caller))
        require_accepted(order)
        send_json(resp, order.document())

    on_head = on_get


class OrderCancellationResource:
    """`/api/orders/{id}/cancel`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, order_id: str) -> None:
        """Cancel a pending order; its units become available again."""
        order = await self._procedures.cancel_order(ScopedId(parse_id(order_id, ORDER_NOT_FOUND), req.context.caller))
        require_accepted(order)
        if not order.replayed:
            log.info("order_cancelled", request_id=req.context.request_id, order_id=order.order_id)
        document = {"order_id": order.order_id, **_name_holds(order), "status": order.status}
        send_json(resp, document, replayed=order.replayed)


class PaymentStartResource:
    """`/api/orders/{id}/start-payment`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures
        self._decoder = msgspec.json.Decoder(PaymentStartBody)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, order_id: str) -> None:
        """Give a pending order more time, once, because its buyer is paying."""
        number = parse_id(order_id, ORDER_NOT_FOUND)
        body = await read_optional_body(req, self._decoder) or PaymentStartBody()
        order = await self._procedures.start_payment(PaymentStart(number, req.context.caller, body.window_s))
        require_accepted(order)
        payment_due_at = utc(order.payment_due_at)
        if not order.replayed:
            log.info(
                "payment_started",
                request_id=req.context.request_id,
                order_id=order.order_id,
                payment_due_at=payment_due_at,
            )
        send_json(resp, {"order_id": order.order_id, "payment_due_at": payment_due_at}, replayed=order.replayed)
