"""The payment webhook over HTTP: any number of times, in any order."""

import itertools

import httpx
import pytest

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
