"""Holds: made, read, extended, given back."""

import time
from typing import Any

import falcon.asgi
import msgspec
import structlog

from service.errors import ERRORS, HOLD_ALREADY_USED, Problem, refusal
from service.procedures import HoldRequest, ProcedureClient, ScopedId
from service.requests import BigInt, idempotency_key, parse_id, read_body, send_json, utc

log = structlog.get_logger()


class HoldBody(msgspec.Struct):
    """The body of POST /api/holds."""

    product_id: BigInt
    quantity: BigInt
    customer_id: str | None = None


async def order_member(procedures: ProcedureClient, hold: ScopedId) -> dict[str, Any]:
    """The member `order_id` of an answer about a hold that was ordered; none once that order is purged."""
    found = await procedures.find_order(hold)
    return {"order_id": found.order_id} if found.errno is None else {}


async def hold_refusal(procedures: ProcedureClient, errno: int, hold: ScopedId) -> Problem:
    """The problem of a hold that refused; where it was ordered, the problem names the order."""
    return refusal(errno, **(await order_member(procedures, hold) if errno == HOLD_ALREADY_USED else {}))


class HoldsResource:
    """`/api/holds`."""

    def __init__(self, procedures: ProcedureClient, path_prefix: str) -> None:
        self._procedures = procedures
        self._path_prefix = path_prefix
        self._decoder = msgspec.json.Decoder(HoldBody)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Reserve units of a product."""
        started_at = time.monotonic()
        key, made = idempotency_key(req, resp)
        body = await read_body(req, self._decoder)
        request = HoldRequest(body.product_id, body.quantity, key, made, req.context.caller, body.customer_id)
        entry = self._procedures.create_hold(request)
        hold = await entry
        log_fields = {
            "request_id": req.context.request_id,
            "product_id": body.product_id,
            "quantity": body.quantity,
            "attempt": entry.attempt,
            "duration_ms": round((time.monotonic() - started_at) * 1000, 1),
        }
        if hold.errno is not None:
            log.info("hold_rejected", reason=ERRORS[hold.errno].slug, **log_fields)
            if hold.available_stock is not None:
                raise refusal(hold.errno, available_stock=hold.available_stock)
            raise refusal(hold.errno)
        log.info("hold_created", hold_id=hold.hold_id, replayed=bool(hold.replayed), **log_fields)
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{self._path_prefix}/api/holds/{hold.hold_id}")
        send_json(resp, {"hold_id": hold.hold_id, "expires_at": utc(hold.expires_at)}, replayed=hold.replayed)


class HoldResource:
    """`/api/holds/{id}`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, hold_id: str) -> None:
        """One hold."""
        own = ScopedId(parse_id(hold_id, 30201), req.context.caller)
        hold = await self._procedures.get_hold(own)
        if hold.errno is not None:
            raise refusal(hold.errno)
        send_json(
            resp,
            {
                "hold_id": hold.hold_id,
                "product_id": hold.product_id,
                "quantity": hold.quantity,
                "status": hold.status,
                "expires_at": utc(hold.expires_at),
                **(await order_member(self._procedures, own) if hold.status == "ordered" else {}),
            },
        )

    on_head = on_get

    async def on_delete(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, hold_id: str) -> None:
        """Give an active hold back."""
        own = ScopedId(parse_id(hold_id, 30201), req.context.caller)
        released = await self._procedures.release_hold(own)
        if released.errno is not None:
            raise await hold_refusal(self._procedures, released.errno, own)
        if not released.replayed:
            log.info("hold_released", request_id=req.context.request_id, hold_id=released.hold_id)
        resp.status = falcon.HTTP_204


class HoldExtensionResource:
    """`/api/holds/{id}/extend`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, hold_id: str) -> None:
        """Give an active hold more time, once."""
        own = ScopedId(parse_id(hold_id, 30201), req.context.caller)
        extended = await self._procedures.extend_hold(own)
        if extended.errno is not None:
            raise await hold_refusal(self._procedures, extended.errno, own)
        expires_at = utc(extended.expires_at)
        if not extended.replayed:
            log.info(
                "hold_extended", request_id=req.context.request_id, hold_id=extended.hold_id, expires_at=expires_at
            )
        send_json(resp, {"hold_id": extended.hold_id, "expires_at": expires_at}, replayed=extended.replayed)
