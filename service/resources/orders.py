"""Orders: made from holds, read, being paid, cancelled."""

import time

import falcon.asgi
import msgspec
import structlog

from service.errors import ERRORS, refusal
from service.procedures import OrderRequest, ProcedureClient, ScopedId
from service.requests import BigInt, idempotency_key, money, parse_id, read_body, send_json, utc
from service.resources.holds import hold_refusal

log = structlog.get_logger()


class OrderBody(msgspec.Struct):
    """The body of POST /api/orders."""

    hold_id: BigInt


class OrdersResource:
    """`/api/orders`."""

    def __init__(self, procedures: ProcedureClient, path_prefix: str) -> None:
        self._procedures = procedures
        self._path_prefix = path_prefix
        self._decoder = msgspec.json.Decoder(OrderBody)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Turn a hold into an order."""
        started_at = time.monotonic()
        key, made = idempotency_key(req, resp)
        body = await read_body(req, self._decoder)
        entry = self._procedures.create_order(OrderRequest(body.hold_id, key, made, req.context.caller))
        order = await entry
        log_fields = {
            "request_id": req.context.request_id,
            "hold_id": body.hold_id,
            "attempt": entry.attempt,
            "duration_ms": round((time.monotonic() - started_at) * 1000, 1),
        }
        if order.errno is not None:
            log.info("order_rejected", reason=ERRORS[order.errno].slug, **log_fields)
            raise await hold_refusal(self._procedures, order.errno, ScopedId(body.hold_id, req.context.caller))
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
            {"order_id": order.order_id, "hold_id": order.hold_id, "status": order.status},
            replayed=order.replayed,
        )


class OrderResource:
    """`/api/orders/{id}`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, order_id: str) -> None:
        """One order."""
        order = await self._procedures.get_order(ScopedId(parse_id(order_id, 30301), req.context.caller))
        if order.errno is not None:
            raise refusal(order.errno)
        send_json(
            resp,
            {
                "order_id": order.order_id,
                "hold_id": order.hold_id,
                "product_id": order.product_id,
                "quantity": order.quantity,
                "amount": money(order.amount),
                "status": order.status,
                "payment_due_at": utc(order.payment_due_at),
            },
        )

    on_head = on_get


class OrderCancellationResource:
    """`/api/orders/{id}/cancel`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, order_id: str) -> None:
        """Cancel a pending order and return its stock."""
        order = await self._procedures.cancel_order(ScopedId(parse_id(order_id, 30301), req.context.caller))
        if order.errno is not None:
            raise refusal(order.errno)
        if not order.replayed:
            log.info("order_cancelled", request_id=req.context.request_id, order_id=order.order_id)
        send_json(resp, {"order_id": order.order_id, "hold_id": order.hold_id, "status": order.status})


class PaymentStartResource:
    """`/api/orders/{id}/start-payment`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, order_id: str) -> None:
        """Give a pending order more time, once, since its buyer is paying."""
        started = await self._procedures.start_payment(ScopedId(parse_id(order_id, 30301), req.context.caller))
        if started.errno is not None:
            raise refusal(started.errno)
        payment_due_at = utc(started.payment_due_at)
        if not started.replayed:
            log.info(
                "payment_started",
                request_id=req.context.request_id,
                order_id=started.order_id,
                payment_due_at=payment_due_at,
            )
        send_json(resp, {"order_id": started.order_id, "payment_due_at": payment_due_at}, replayed=started.replayed)
