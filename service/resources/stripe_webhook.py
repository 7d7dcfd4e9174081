"""Stripe's own webhook: translates Stripe's events to payment events. Only imported where it is configured."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import falcon.asgi
import msgspec
import structlog
from stripe import SignatureVerificationError, Webhook, WebhookSignature

from service.errors import Problem
from service.procedure_client import ProcedureClient
from service.requests import (
    BIGINT_MAXIMUM,
    ID,
    STRIPE_BODY_LIMIT_BYTES,
    BigInt,
    decode,
    read_bytes,
    send_json,
)
from service.resources.payments import apply_event
from service.rows import PaymentEvent
from service.settings import Settings

# The library raises these for a header or a body that is no text, too.
REFUSALS = (SignatureVerificationError, ValueError, TypeError)

# The decimals of currencies that do not have two: https://docs.stripe.com/currencies#minor-units. By its special cases,
# ISK and UGX have two: Stripe counts their amounts in hundredths, although they have no coins.
DECIMALS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"), 0),
    **dict.fromkeys(("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}

log = structlog.get_logger()


class EventData(msgspec.Struct):
    """The `data` of a StripeEvent."""

    object: msgspec.Raw


class StripeEvent(msgspec.Struct):
    """https://docs.stripe.com/api/events/object; other kinds of events may lack `data`."""

    id: str
    type: str
    data: EventData | None = None


class Payment(msgspec.Struct, kw_only=True):
    """The members that objects of Stripe have in common; amounts are in minor units."""

    payment_id: str | None = msgspec.field(default=None, name="payment_intent")
    amount: BigInt | None
    currency: str | None
    metadata: dict[str, str] | None = None


class PaymentIntent(Payment, kw_only=True):
    """https://docs.stripe.com/api/payment_intents/object."""

    payment_id: str = msgspec.field(name="id")
    amount_received: BigInt | None = None

    def __post_init__(self) -> None:
        """Take what was captured for the amount, once something was: it may be less than what was asked for."""
        self.amount = self.amount_received or self.amount


class Charge(Payment, kw_only=True):
    """https://docs.stripe.com/api/charges/object; `refunded` is true once all of it is refunded."""

    refunded: bool


class Dispute(Payment):
    """https://docs.stripe.com/api/disputes/object."""


class CheckoutSession(Payment, kw_only=True):
    """https://docs.stripe.com/api/checkout/sessions/object."""

    amount: BigInt | None = msgspec.field(name="amount_total")
    payment_status: str


# The kind of the event's object, and the status of the payment event; None: the event is ignored.
TRANSLATIONS: dict[str, tuple[type[Payment], Callable[[Any], str | None]]] = {
    "payment_intent.succeeded": (PaymentIntent, lambda _: "success"),
    "payment_intent.payment_failed": (PaymentIntent, lambda _: "declined"),
    "payment_intent.canceled": (PaymentIntent, lambda _: "canceled"),
    "payment_intent.processing": (PaymentIntent, lambda _: "processing"),
    "charge.refunded": (Charge, lambda charge: "refunded" if charge.refunded else None),
    "charge.dispute.created": (Dispute, lambda _: "disputed"),
    "checkout.session.completed": (
        CheckoutSession,
        lambda session: {"paid": "success", "unpaid": "processing"}.get(session.payment_status),
    ),
    "checkout.session.async_payment_succeeded": (CheckoutSession, lambda _: "success"),
    "checkout.session.async_payment_failed": (CheckoutSession, lambda _: "failed"),
    "checkout.session.expired": (CheckoutSession, lambda _: "expired"),
}
DECODERS = {kind: msgspec.json.Decoder(kind) for kind, _ in TRANSLATIONS.values()}


def translate(event: StripeEvent, shop_currency: str) -> PaymentEvent | None:
    """Return the payment event that an event of Stripe means; None for one that is ignored. Raises Problem 400 or 422.

    Ignored are types and statuses without a translation, and objects that name neither an order nor a payment.
    """
    if event.type not in TRANSLATIONS:
        return None
    kind, status_of = TRANSLATIONS[event.type]
    payment = decode(bytes(event.data.object) if event.data else b"null", DECODERS[kind])
    status, order_id = status_of(payment), _order_id(payment.metadata or {})
    if status is None or (order_id is None and payment.payment_id is None):
        return None
    currency = (payment.currency or shop_currency).upper()
    return PaymentEvent(
        event.id,
        status,
        order_id,
        payment.payment_id,
        None if payment.amount is None else _decimal_digits(payment.amount, currency),
        None if currency == shop_currency else currency,
    )


def _order_id(metadata: dict[str, str]) -> int | None:
    """Return `order_id` of the metadata; None where it is missing or is not one of this service."""
    text = metadata.get("order_id", "")
    return int(text) if ID.fullmatch(text) and int(text) <= BIGINT_MAXIMUM else None


def _decimal_digits(minor_units: int, currency: str) -> str:
    """Return an amount as text: 1099 minor units are 10.99 in EUR, 1099 in JPY and 1.099 in KWD."""
    return f"{Decimal(minor_units).scaleb(-DECIMALS.get(currency, 2)):f}"


class StripeWebhookResource:
    """`/api/payments/stripe`: an event may be delivered any number of times, in any order."""

    def __init__(self, procedures: ProcedureClient, settings: Settings) -> None:
        self._procedures = procedures
        self._secrets = settings.stripe_secrets()
        self._currency = settings.stripe_currency.upper()
        self._decoder = msgspec.json.Decoder(StripeEvent)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Record the payment event that an event of Stripe means, and apply it to its order, if the order exists."""
        body = await read_bytes(req, STRIPE_BODY_LIMIT_BYTES)
        self._require_signature(req, body)
        event = decode(body, self._decoder)
        payment = translate(event, self._currency)
        if payment is not None:
            await apply_event(req, resp, self._procedures, payment, event_id=event.id, event_type=event.type)
            return
        log.info("payment_ignored", request_id=req.context.request_id, event_id=event.id, event_type=event.type)
        send_json(resp, {"order_id": None, "status": None, "outcome": "ignored"})

    def _require_signature(self, request: falcon.asgi.Request, body: bytes) -> None:
        """Require that one of the secrets signed the body within the library's tolerance. Raises Problem 401."""
        header = request.get_header("Stripe-Signature")
        if not any(_is_signed(body, header, secret) for secret in self._secrets):
            detail = "Stripe-Signature is missing, is too old, or is not of this body and a current secret."
            raise Problem("invalid_signature", 401, detail)


def _is_signed(body: bytes, header: str | None, secret: str) -> bool:
    try:
        WebhookSignature.verify_header(body, header, secret, Webhook.DEFAULT_TOLERANCE)
    except REFUSALS:
        return False
    return True
