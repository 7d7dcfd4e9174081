"""Events of Stripe are translated to payment events."""

from typing import Any

import msgspec
import pytest

from service.errors import Problem
from service.resources.stripe_webhook import StripeEvent, translate
from service.rows import PaymentEvent
from tests.stripe_events import Json, charge, checkout_session, dispute, event, payment_intent, succeeded

ORDER = {"order_id": "7"}


def translated(sent: Json) -> PaymentEvent | None:
    """Translate an event for a shop whose prices are in EUR."""
    return translate(msgspec.json.decode(msgspec.json.encode(sent), type=StripeEvent), "EUR")


EVENTS: list[tuple[str, Json, str | None]] = [
    ("payment_intent.succeeded", payment_intent("pi_1", ORDER, amount_received=10000), "success"),
    ("payment_intent.payment_failed", payment_intent("pi_1", ORDER), "declined"),
    ("payment_intent.canceled", payment_intent("pi_1", ORDER, status="canceled"), "canceled"),
    ("payment_intent.processing", payment_intent("pi_1", ORDER, status="processing"), "processing"),
    ("charge.refunded", charge("pi_1", ORDER), "refunded"),
    ("charge.refunded", charge("pi_1", ORDER, refunded=False, amount_refunded=500), None),
    ("charge.dispute.created", dispute("pi_1", metadata=ORDER), "disputed"),
    ("checkout.session.completed", checkout_session("pi_1", ORDER), "success"),
    ("checkout.session.completed", checkout_session("pi_1", ORDER, payment_status="unpaid"), "processing"),
    ("checkout.session.completed", checkout_session("pi_1", ORDER, payment_status="no_payment_required"), None),
    ("checkout.session.async_payment_succeeded", checkout_session("pi_1", ORDER), "success"),
    ("checkout.session.async_payment_failed", checkout_session("pi_1", ORDER, payment_status="unpaid"), "failed"),
    ("checkout.session.expired", checkout_session("pi_1", ORDER, payment_status="unpaid"), "expired"),
    ("payment_intent.created", payment_intent("pi_1", ORDER), None),
    ("charge.succeeded", charge("pi_1", ORDER), None),
    ("customer.created", {"id": "cus_1", "object": "customer"}, None),
]


@pytest.mark.parametrize(("type_", "about", "status"), EVENTS)
def test_each_type_has_its_status_or_is_ignored(type_: str, about: Json, status: str | None) -> None:
    sent = event(type_, about)
    expected = None if status is None else PaymentEvent(sent["id"], status, 7, "pi_1", "100.00")
    assert translated(sent) == expected


@pytest.mark.parametrize(
    ("order_id", "expected"),
    [
        ("9223372036854775807", 2**63 - 1),
        *((text, None) for text in ("9223372036854775808", "", "0", "-7", "7.0", " 7", "\u0667", "order 7")),
    ],
)
def test_an_order_id_that_is_none_of_this_service_counts_as_missing(order_id: str, expected: int | None) -> None:
    payment = translated(succeeded("pi_1", {"order_id": order_id, "other": "1"}))
    assert payment is not None
    assert (payment.order_id, payment.payment_id) == (expected, "pi_1")


def test_an_object_that_names_neither_an_order_nor_a_payment_is_ignored() -> None:
    for type_, about in (
        ("charge.refunded", charge(None, {})),
        ("charge.dispute.created", dispute(None)),
        ("checkout.session.expired", checkout_session(None, {}, amount_total=None, currency=None)),
    ):
        assert translated(event(type_, about)) is None
    without_payment = translated(event("checkout.session.expired", checkout_session(None, ORDER)))
    assert without_payment is not None
    assert (without_payment.order_id, without_payment.payment_id) == (7, None)


@pytest.mark.parametrize(
    ("currency", "minor_units", "amount"),
    [
        *(("eur", 1, "0.01"), ("eur", 99999999, "999999.99"), ("isk", 500, "5.00"), ("ugx", 500, "5.00")),
        *(("jpy", 500, "500"), ("krw", 99999999, "99999999"), ("kwd", 5120, "5.120"), ("tnd", 10, "0.010")),
    ],
)
def test_minor_units_become_the_amount_in_the_currency(currency: str, minor_units: int, amount: str) -> None:
    payment = translated(succeeded("pi_1", ORDER, currency=currency, amount_received=minor_units))
    assert payment is not None
    assert (payment.amount, payment.currency) == (amount, None if currency == "eur" else currency.upper())


def test_the_amount_of_a_success_is_what_was_captured() -> None:
    payment = translated(succeeded("pi_1", ORDER, amount=10000, amount_received=7500))
    assert payment is not None
    assert payment.amount == "75.00"


def without(about: Json, member: str) -> Json:
    return {name: value for name, value in about.items() if name != member}


@pytest.mark.parametrize(
    ("type_", "about"),
    [
        ("payment_intent.succeeded", None),
        *(
            ("payment_intent.succeeded", without(payment_intent("pi_1", ORDER), member))
            for member in ("id", "amount", "currency")
        ),
        ("payment_intent.succeeded", payment_intent("pi_1", ORDER, amount_received=1.5)),
        ("payment_intent.succeeded", payment_intent("pi_1", {"order_id": 7})),
        ("charge.refunded", without(charge("pi_1", ORDER), "refunded")),
        ("checkout.session.completed", without(checkout_session("pi_1", ORDER), "payment_status")),
    ],
)
def test_an_object_that_is_not_as_stripe_describes_it_is_refused(type_: str, about: Any) -> None:
    for sent in (event(type_, about), without(event(type_, about), "data")):
        with pytest.raises(Problem) as refused:
            translated(sent)
        assert refused.value.status_code == 422
