"""Refunds of paid orders."""

from typing import Annotated

import falcon.asgi
import msgspec
import structlog

from service.errors import ORDER_NOT_FOUND
from service.procedure_client import ProcedureClient
from service.requests import idempotency_key, money, parse_id, read_body, send_json
from service.resources.outcomes import accepted_row
from service.rows import RefundLine, RefundRequest

log = structlog.get_logger()


class RefundBody(msgspec.Struct):
    """The body of POST /api/orders/{id}/refunds."""

    restock: bool
    lines: Annotated[list[RefundLine], msgspec.Meta(min_length=1, max_length=50)] | None = None


class RefundsResource:
    """`/api/orders/{id}/refunds`."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures
        self._decoder = msgspec.json.Decoder(RefundBody)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, order_id: str) -> None:
        """Refund units of a paid order, or all that are left."""
        key, is_generated = idempotency_key(req, resp)
        number = parse_id(order_id, ORDER_NOT_FOUND)
        body = await read_body(req, self._decoder)
        request = RefundRequest(number, body.restock, key, is_generated, req.context.caller, body.lines)
        refund, log_fields = await accepted_row(
            req, "refund", self._procedures.refund_order(request), order_id=number, restock=body.restock
        )
        amount = money(refund.amount)
        log.info(
            "refund_created",
            refund_id=refund.refund_id,
            amount=amount,
            status=refund.status,
            replayed=bool(refund.replayed),
            **log_fields,
        )
        resp.status = falcon.HTTP_201
        send_json(
            resp,
            {"refund_id": refund.refund_id, "order_id": refund.order_id, "amount": amount, "status": refund.status},
            replayed=refund.replayed,
        )
