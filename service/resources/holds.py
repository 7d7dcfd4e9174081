"""Holds: create, read, reduce, extend, release."""

import falcon.asgi
import msgspec
import structlog

from service.errors import HOLD_NOT_FOUND
from service.procedure_client import ProcedureClient
from service.requests import BigInt, idempotency_key, money, parse_id, read_body, send_json, utc
from service.resources.outcomes import accepted_row, require_accepted
from service.rows import HoldReduction, HoldRequest, ScopedId

log = structlog.get_logger()


class HoldBody(msgspec.Struct):
    """The body of POST /api/holds."""

    product_id: BigInt
    quantity: BigInt
    customer_id: str | None = None


class HoldReductionBody(msgspec.Struct):
    """The body of PATCH /api/holds/{id}."""

    quantity: BigInt


class HoldsResource:
    """`/api/holds`."""

    def __init__(self, procedures: ProcedureClient, path_prefix: str) -> None:
        self._procedures = procedures
        self._path_prefix = path_prefix
        self._decoder = msgspec.json.Decoder(HoldBody)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Reserve units of a product."""
        key, is_generated = idempotency_key(req, resp)
        body = await read_body(req, self._decoder)
        request = HoldRequest(body.product_id, body.quantity, key, is_generated, req.context.caller, body.customer_id)
        hold, log_fields = await accepted_row(
            req, "hold", self._procedures.create_hold(request), product_id=body.product_id, quantity=body.quantity
        )
        log.info("hold_created", hold_id=hold.hold_id, replayed=bool(hold.replayed), **log_fields)
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{self._path_prefix}/api/holds/{hold.hold_id}")
        send_json(resp, {"hold_id": hold.hold_id, "expires_at": utc(hold.expires_at)}, replayed=hold.replayed)


class HoldResource:
    """`/api/holds/{id}`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures
        self._decoder = msgspec.json.Decoder(HoldReductionBody)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, hold_id: str) -> None:
        """Show one hold."""
        hold = await self._procedures.get_hold(ScopedId(parse_id(hold_id, HOLD_NOT_FOUND), req.context.caller))
        require_accepted(hold)
        document = {
            "hold_id": hold.hold_id,
            "product_id": hold.product_id,
            "quantity": hold.quantity,
            "status": hold.status,
            "expires_at": utc(hold.expires_at),
        }
        if hold.unit_price is not None:
            document["unit_price"] = money(hold.unit_price)
        if hold.order_id is not None:
            document["order_id"] = hold.order_id
        send_json(resp, document)

    on_head = on_get

    async def on_patch(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, hold_id: str) -> None:
        """Reduce an active hold; the units that it gives up become available."""
        number = parse_id(hold_id, HOLD_NOT_FOUND)
        body = await read_body(req, self._decoder)
        hold = await self._procedures.reduce_hold(HoldReduction(number, req.context.caller, body.quantity))
        require_accepted(hold)
        if not hold.replayed:
            log.info("hold_reduced", request_id=req.context.request_id, hold_id=hold.hold_id, quantity=hold.quantity)
        document = {"hold_id": hold.hold_id, "quantity": hold.quantity, "expires_at": utc(hold.expires_at)}
        send_json(resp, document, replayed=hold.replayed)

    async def on_delete(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, hold_id: str) -> None:
        """Release an active hold."""
        hold = await self._procedures.release_hold(ScopedId(parse_id(hold_id, HOLD_NOT_FOUND), req.context.caller))
        require_accepted(hold)
        if not hold.replayed:
            log.info("hold_released", request_id=req.context.request_id, hold_id=hold.hold_id)
        resp.status = falcon.HTTP_204


class HoldExtensionResource:
    """`/api/holds/{id}/extend`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, hold_id: str) -> None:
        """Extend an active hold, once."""
        hold = await self._procedures.extend_hold(ScopedId(parse_id(hold_id, HOLD_NOT_FOUND), req.context.caller))
        require_accepted(hold)
        expires_at = utc(hold.expires_at)
        if not hold.replayed:
            log.info("hold_extended", request_id=req.context.request_id, hold_id=hold.hold_id, expires_at=expires_at)
        send_json(resp, {"hold_id": hold.hold_id, "expires_at": expires_at}, replayed=hold.replayed)
