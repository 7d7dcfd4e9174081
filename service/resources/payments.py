"""The payment provider's webhook."""

import time
from collections.abc import Sequence

import falcon.asgi
import msgspec
import structlog
from standardwebhooks import Webhook

from service.errors import ERRORS, refusal
from service.procedures import PaymentEvent, ProcedureClient
from service.requests import decode, read_bytes, send_json
from service.signatures import require_signature

log = structlog.get_logger()


class PaymentWebhookResource:
    """`/api/payments/webhook`: delivered any number of times, in any order."""

    def __init__(self, procedures: ProcedureClient, verifiers: Sequence[Webhook]) -> None:
        self._procedures = procedures
        self._verifiers = verifiers
        self._decoder = msgspec.json.Decoder(PaymentEvent)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Record a payment event and settle its order, if that exists."""
        started_at = time.monotonic()
        body = await read_bytes(req)
        require_signature(req, body, self._verifiers)
        event = decode(body, self._decoder)
        entry = self._procedures.apply_payment(event)
        payment = await entry
        log_fields = {
            "request_id": req.context.request_id,
            "order_id": event.order_id,
            "attempt": entry.attempt,
            "duration_ms": round((time.monotonic() - started_at) * 1000, 1),
        }
        if payment.errno is not None:
            log.info("payment_rejected", reason=ERRORS[payment.errno].slug, **log_fields)
            raise refusal(payment.errno)
        name = "payment_duplicate" if payment.replayed else f"payment_{payment.outcome}"
        log.info(name, outcome=payment.outcome, **log_fields)
        resp.status = falcon.HTTP_202 if payment.outcome == "waiting" else falcon.HTTP_200
        send_json(
            resp,
            {"order_id": payment.order_id, "status": payment.status, "outcome": payment.outcome},
            replayed=payment.replayed,
        )
