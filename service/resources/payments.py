"""The payment provider's webhook."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated

import falcon.asgi
import msgspec
import structlog
from standardwebhooks import Webhook

from service.errors import INVALID_REQUEST, refusal
from service.procedure_client import ProcedureClient
from service.requests import BIGINT_DIGITS, BigInt, decode, read_bytes, send_json
from service.resources.outcomes import accepted_row
from service.rows import PaymentEvent
from service.signatures import require_signature

log = structlog.get_logger()


class PaymentBody(msgspec.Struct):
    """The body of POST /api/payments/webhook. Providers carry the order's id as text."""

    idempotency_key: str
    order_id: BigInt | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}\Z")]
    status: str
    payment_id: str | None = None
    amount: msgspec.Raw = msgspec.Raw()

    def event(self) -> PaymentEvent:
        """Return the element of apply_payments; raises Problem 422."""
        return PaymentEvent(
            self.idempotency_key, self.status, int(self.order_id), self.payment_id, _digits(self.amount)
        )


class PaymentWebhookResource:
    """`/api/payments/webhook`: an event may be delivered any number of times, in any order."""

    def __init__(self, procedures: ProcedureClient, verifiers: Sequence[Webhook]) -> None:
        self._procedures = procedures
        self._verifiers = verifiers
        self._decoder = msgspec.json.Decoder(PaymentBody)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Record a payment event and apply it to its order, if the order exists."""
        body = await read_bytes(req)
        require_signature(req, body, self._verifiers)
        await apply_event(req, resp, self._procedures, decode(body, self._decoder).event())


async def apply_event(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    procedures: ProcedureClient,
    event: PaymentEvent,
    **fields: str,
) -> None:
    """Apply a payment event, log it with further fields, and answer its outcome. Raises Problem."""
    payment, log_fields = await accepted_row(
        req, "payment", procedures.apply_payment(event), order_id=event.order_id, **fields
    )
    name = "payment_duplicate" if payment.replayed else f"payment_{payment.outcome}"
    log.info(name, **{**log_fields, "outcome": payment.outcome, "order_id": payment.order_id})
    resp.status = falcon.HTTP_202 if payment.outcome == "waiting" else falcon.HTTP_200
    send_json(
        resp,
        {"order_id": payment.order_id, "status": payment.status, "outcome": payment.outcome},
        replayed=payment.replayed,
    )


def _digits(amount: msgspec.Raw) -> str | None:
    """Return the decimal digits of a JSON number or string; None if it is missing or null. Raises Problem 422.

    The procedure refuses strings that are no amounts.
    """
    document = bytes(amount)
    if document in (b"", b"null"):
        return None
    if document.startswith(b'"'):
        return msgspec.json.decode(document, type=str)
    try:
        number = Decimal(document.decode())
    except InvalidOperation:
        raise refusal(INVALID_REQUEST, "Expected a number or a string of digits - at `$.amount`") from None
    # Writes an exponent out, unless that takes more digits than the procedure accepts.
    return f"{number:f}" if abs(number.adjusted()) < BIGINT_DIGITS else str(number)
