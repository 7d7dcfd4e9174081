"""Events in the form that Stripe publishes for its API, and requests that deliver them with Stripe's signature."""

import itertools
import json
from typing import Any

from stripe import WebhookSignature

Json = dict[str, Any]

SECRET = "whsec_Zt3Nn6wL9rXq2KfB7vHs4YcD8mJp1GaE"
SETTINGS = {"STRIPE_WEBHOOK_SECRETS": SECRET, "STRIPE_CURRENCY": "EUR"}
PATH = "/api/payments/stripe"
SIGNATURE_HEADER = "Stripe-Signature"

_numbers = itertools.count(1)


def event(type_: str, object_: Json) -> Json:
    """An event about an object, with an id that was never used."""
    return {
        "id": f"evt_3QbXm4Lk{next(_numbers):08}",
        "object": "event",
        "api_version": "2026-08-26.basil",
        "created": 1790000000,
        "data": {"object": object_},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
    }


def payment_intent(payment_id: str, metadata: Json, **members: Any) -> Json:
    """A PaymentIntent of 100.00 EUR."""
    return {
        "id": payment_id,
        "object": "payment_intent",
        "amount": 10000,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{payment_id}_secret_s",
        "confirmation_method": "automatic",
        "created": 1790000000,
        "currency": "eur",
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": metadata,
        "next_action": None,
        "payment_method": None,
        "payment_method_options": {"card": {"installments": None, "mandate_options": None, "network": None}},
        "payment_method_types": ["card", "sepa_debit"],
        "processing": None,
        "receipt_email": None,
        "shipping": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **members,
    }


def charge(payment_id: str | None, metadata: Json, **members: Any) -> Json:
    """A Charge of 100.00 EUR, all of it refunded."""
    return {
        "id": "ch_3QbXm4Lk",
        "object": "charge",
        "amount": 10000,
        "amount_captured": 10000,
        "amount_refunded": 10000,
        "balance_transaction": "txn_3QbXm4Lk",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "captured": True,
        "created": 1790000000,
        "currency": "eur",
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": metadata,
        "outcome": {"network_status": "approved_by_network", "risk_level": "normal", "type": "authorized"},
        "paid": True,
        "payment_intent": payment_id,
        "payment_method": "pm_1QbXm4Lk",
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}, "type": "card"},
        "refunded": True,
        "status": "succeeded",
        **members,
    }


def dispute(payment_id: str | None, **members: Any) -> Json:
    """A Dispute of 100.00 EUR. It has metadata of its own, and none of its payment's."""
    return {
        "id": "du_1QbXm4Lk",
        "object": "dispute",
        "amount": 10000,
        "balance_transactions": [],
        "charge": "ch_3QbXm4Lk",
        "created": 1790000000,
        "currency": "eur",
        "evidence": {"access_activity_log": None, "product_description": None, "receipt": None},
        "evidence_details": {"due_by": 1790600000, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": True,
        "livemode": False,
        "metadata": {},
        "payment_intent": payment_id,
        "payment_method_details": {"card": {"brand": "visa", "case_type": "chargeback"}, "type": "card"},
        "reason": "product_not_received",
        "status": "needs_response",
        **members,
    }


def checkout_session(payment_id: str | None, metadata: Json, **members: Any) -> Json:
    """A Checkout Session of 100.00 EUR, paid."""
    return {
        "id": "cs_test_a1QbXm4Lk",
        "object": "checkout.session",
        "amount_subtotal": 10000,
        "amount_total": 10000,
        "automatic_tax": {"enabled": False, "liability": None, "status": None},
        "cancel_url": None,
        "client_reference_id": None,
        "created": 1790000000,
        "currency": "eur",
        "customer": None,
        "customer_details": {"address": None, "email": "buyer@shop.example", "name": None, "phone": None},
        "expires_at": 1790003600,
        "livemode": False,
        "metadata": metadata,
        "mode": "payment",
        "payment_intent": payment_id,
        "payment_link": None,
        "payment_method_types": ["card", "sepa_debit"],
        "payment_status": "paid",
        "status": "complete",
        "success_url": "https://shop.example/thanks",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "url": None,
        **members,
    }


def succeeded(payment_id: str, metadata: Json, **members: Any) -> Json:
    """The event of a PaymentIntent of 100.00 EUR that succeeded."""
    members = {"amount_received": 10000, "status": "succeeded", "latest_charge": "ch_3QbXm4Lk", **members}
    return event("payment_intent.succeeded", payment_intent(payment_id, metadata, **members))


def delivery(body: Json | str, secret: str = SECRET, timestamp: int | None = None) -> dict[str, Any]:
    """The request that delivers an event, signed now or at a Unix time."""
    text = body if isinstance(body, str) else json.dumps(body, indent=2)  # Stripe's own bodies have line breaks
    signature = WebhookSignature.generate_signature_header(text, secret, timestamp)
    headers = {"Content-Type": "application/json; charset=utf-8", SIGNATURE_HEADER: signature}
    return {"method": "POST", "url": PATH, "content": text, "headers": headers}
