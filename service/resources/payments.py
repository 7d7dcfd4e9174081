"""The payment provider's webhook."""

from collections.abc import Sequence

import falcon.asgi
import msgspec
import structlog
from standardwebhooks import Webhook

from service.procedure_client import ProcedureClient
from service.requests import decode, read_bytes, send_json
from service.resources.outcomes import accepted_row
from service.rows import PaymentEvent
from service.signatures import require_signature

log = structlog.get_logger()


class PaymentWebhookResource:
    """`/api/payments/webhook`: an event may be delivered any number of times, in any order."""

    def __init__(self, procedures: ProcedureClient, verifiers: Sequence[Webhook]) -> None:
        self._procedures = procedures
        self._verifiers = verifiers
        self._decoder = msgspec.json.Decoder(PaymentEvent)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Record a payment event and apply it to its order, if the order exists."""
        body = await read_bytes(req)
        require_signature(req, body, self._verifiers)
        event = decode(body, self._decoder)
        payment, log_fields = await accepted_row(
            req, "payment", self._procedures.apply_payment(event), order_id=event.order_id
        )
        name = "payment_duplicate" if payment.replayed else f"payment_{payment.outcome}"
        log.info(name, outcome=payment.outcome, **log_fields)
        resp.status = falcon.HTTP_202 if payment.outcome == "waiting" else falcon.HTTP_200
        send_json(
            resp,
            {"order_id": payment.order_id, "status": payment.status, "outcome": payment.outcome},
            replayed=payment.replayed,
        )
