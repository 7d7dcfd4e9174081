"""The payment webhook over HTTP: any number of times, in any order."""

import itertools
from decimal import Decimal
from typing import Any

import httpx
import pytest

from service.openapi import SCHEMAS
from tests.http.support import (
    Shop,
    assert_common_headers,
    assert_problem,
    order_request,
    payment_request,
)
from tests.support import Session

numbers = itertools.count(1)


def new_key() -> str:
    """A payment provider's key that was never used."""
    return f"event {next(numbers)}"


def next_order_id(shop: Shop, product_id: int) -> int:
    """The id of the order that will be made next: ids count up by one."""
    return shop.ordered(product_id) + 1


@pytest.mark.parametrize("status", ["success", "failure", "failed"])
def test_an_event_for_a_pending_order_is_applied(
    client: httpx.Client, session: Session, shop: Shop, status: str
) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id, 2)
    response = client.request(**payment_request(new_key(), order_id, status))
    final = "paid" if status == "success" else "cancelled"
    assert response.status_code == 200
    assert response.json() == {"order_id": order_id, "status": final, "outcome": "applied"}
    assert "Idempotent-Replayed" not in response.headers
    assert_common_headers(response)
    assert client.get(f"/api/orders/{order_id}").json()["status"] == final
    assert shop.available(product_id) == (3 if status == "success" else 5)


@pytest.mark.parametrize(("status", "final"), [("success", "paid"), ("failure", "cancelled")])
def test_an_event_that_comes_first_waits_and_decides_the_order_as_it_is_made(
    client: httpx.Client, session: Session, shop: Shop, status: str, final: str
) -> None:
    product_id = session.create_product(stock=5)
    order_id = next_order_id(shop, product_id)
    available = shop.available(product_id)
    event = payment_request(new_key(), order_id, status)
    waiting = client.request(**event)
    assert waiting.status_code == 202
    assert waiting.json() == {"order_id": order_id, "status": None, "outcome": "waiting"}
    assert_common_headers(waiting)

    hold_id = shop.hold(product_id)
    created = client.request(**order_request(hold_id))
    assert created.status_code == 201
    assert created.json() == {"order_id": order_id, "hold_id": hold_id, "status": final}
    assert shop.available(product_id) == (available - 1 if final == "paid" else available)

    again = client.request(**event)
    assert again.status_code == 200
    assert again.json() == {"order_id": order_id, "status": final, "outcome": "applied"}
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_waiting_event_delivered_again_still_waits(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = next_order_id(shop, session.create_product(stock=5)) + 1_000_000
    event = payment_request(new_key(), order_id)
    first, again = client.request(**event), client.request(**event)
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"


def test_money_that_comes_after_the_order_was_cancelled_is_a_refund_and_sells_nothing(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=1)
    order_id = shop.ordered(product_id)
    client.post(f"/api/orders/{order_id}/cancel")
    shop.hold(product_id)
    late = shop.pay(new_key(), order_id)
    assert late == {"order_id": order_id, "status": "cancelled", "outcome": "refund_due"}
    assert shop.available(product_id) == 0


@pytest.mark.parametrize(
    "amount",
    ["200.02", "200.020", '"200.02"', '"200.0200"', "20002e-2", "2.0002E+2"],
)
@pytest.mark.parametrize("order_id", ["{}", '"{}"', '"00{}"', "{}.0"])
def test_amounts_and_order_ids_are_read_however_they_are_written(
    client: httpx.Client, session: Session, shop: Shop, amount: str, order_id: str
) -> None:
    number = shop.ordered(session.create_product(stock=2, price="100.01"), 2)
    body = (
        f'{{"idempotency_key": "{new_key()}", "order_id": {order_id.format(number)}, "status": "success",'
        f' "amount": {amount}}}'
    )
    answer = client.post("/api/payments/webhook", content=body, headers={"Content-Type": "application/json"})
    assert answer.json() == {"order_id": number, "status": "paid", "outcome": "applied"}


@pytest.mark.parametrize("order_id", ["{}", "{}.0"])
def test_amounts_are_exact(client: httpx.Client, session: Session, shop: Shop, order_id: str) -> None:
    number = shop.ordered(session.create_product(stock=7501, price="9999999999.99"), 7501)
    headers = {"Content-Type": "application/json"}
    for amount, outcome in (("75009999999924.98", "refund_due"), ("75009999999924.99", "applied")):
        event = f'"idempotency_key":"{new_key()}","status":"success","amount":{amount}'
        body = f'{{"order_id":{order_id.format(number)},{event}}}'
        assert client.post("/api/payments/webhook", content=body, headers=headers).json()["outcome"] == outcome


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *[("order_id", value) for value in ("0", "-1", "1.0", " 1", "1\n", "\u0661", "", "9" * 19)],
        *[("payment_id", value) for value in (7, "")],
        *[("amount", value) for value in (True, [], {}, -1, 1.001, 10**18, 10**400, "1_0", " 1", "NaN")],
    ],
)
def test_an_order_id_payment_id_or_amount_of_the_wrong_form_is_refused(
    client: httpx.Client, member: str, value: Any
) -> None:
    request = payment_request(new_key(), 1)
    response = client.request(**{**request, "json": {**request["json"], member: value}})
    assert_problem(response, 422, "invalid_request", 30001)


def test_payment_id_and_amount_reach_the_procedure(session: Session, shop: Shop) -> None:
    order_id, key = shop.ordered(session.create_product(stock=5)), new_key()
    assert shop.pay(key, order_id, payment_id="pay-1", amount=99.5)["outcome"] == "refund_due"
    (event,) = session.call("get_payment", key)
    assert (event["payment_id"], event["amount"]) == ("pay-1", Decimal("99.50"))


def test_every_word_of_a_payment_status_is_described(session: Session) -> None:
    rows = session.query("SELECT CONVERT(word USING utf8mb4) AS word FROM payment_statuses")
    assert {row["word"] for row in rows} == set(SCHEMAS["PaymentEvent"]["properties"]["status"]["enum"])


def test_an_events_key_with_another_content_is_refused(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    order_id, other = shop.ordered(product_id), shop.ordered(product_id)
    key = new_key()
    shop.pay(key, order_id)
    for request in (payment_request(key, other), payment_request(key, order_id, "failure")):
        assert_problem(client.request(**request), 409, "idempotency_key_reused", 30002)
    assert client.get(f"/api/orders/{other}").json()["status"] == "pending"


@pytest.mark.parametrize("key", ["Ereignis", "EREIGNIS", "Éreignis", "ereignis ", "👍", 'quote " and \\', "a\x00b"])
def test_events_whose_keys_differ_in_any_byte_are_different(session: Session, shop: Shop, key: str) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    assert shop.pay(key, order_id)["outcome"] == "applied"
