"""Orders over HTTP: made from holds, read, cancelled."""

import re

import httpx
import pytest

from tests.http.support import (
    Shop,
    assert_common_headers,
    assert_problem,
    order_request,
)
from tests.support import Session

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def test_an_order_has_exactly_the_promised_members_and_headers(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    hold_id = shop.hold(session.create_product(stock=5), 2)
    response = client.request(**order_request(hold_id))
    assert response.status_code == 201
    order = response.json()
    assert order == {"order_id": order["order_id"], "hold_id": hold_id, "status": "pending"}
    assert response.headers["Location"] == f"/api/orders/{order['order_id']}"
    assert response.headers["Idempotency-Key"]
    assert "Idempotent-Replayed" not in response.headers
    assert_common_headers(response)


def test_an_orders_location_shows_it(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5, price="19.99")
    created = client.request(**order_request(shop.hold(product_id, 3)))
    response = client.get(created.headers["Location"])
    assert response.status_code == 200
    order = response.json()
    assert TIME.fullmatch(order.pop("payment_due_at"))
    assert order == {
        "order_id": created.json()["order_id"],
        "hold_id": created.json()["hold_id"],
        "product_id": product_id,
        "quantity": 3,
        "amount": 59.97,
        "status": "pending",
    }
    assert_common_headers(response)


@pytest.mark.parametrize(
    ("price", "quantity", "amount"),
    [
        ("250000000.01", 300_001, "75000250003000.01"),
        ("9999999999.99", 1_000_000, "9999999999990000.0"),
        ("0.10", 1, "0.1"),
    ],
)
def test_an_amount_has_the_digits_of_the_decimal(
    session: Session, shop: Shop, price: str, quantity: int, amount: str
) -> None:
    order_id = shop.ordered(session.create_product(stock=1_000_000, price=price), quantity)
    assert f'"amount":{amount},' in shop.client.get(f"/api/orders/{order_id}").text


def test_a_cancelled_order_returns_its_stock_once_and_may_be_cancelled_again(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=5)
    hold_id = shop.hold(product_id, 2)
    order_id = shop.order(hold_id)
    for _ in range(2):
        response = client.post(f"/api/orders/{order_id}/cancel")
        assert response.status_code == 200
        assert response.json() == {"order_id": order_id, "hold_id": hold_id, "status": "cancelled"}
        assert_common_headers(response)
        assert shop.available(product_id) == 5
    assert client.get(f"/api/orders/{order_id}").json()["status"] == "cancelled"


def test_a_paid_order_cannot_be_cancelled(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id, 2)
    shop.pay("paid before it is cancelled", order_id)
    response = client.post(f"/api/orders/{order_id}/cancel")
    assert_problem(response, 409, "order_already_paid", 30302)
    assert client.get(f"/api/orders/{order_id}").json()["status"] == "paid"
    assert shop.available(product_id) == 3


@pytest.mark.parametrize("order_id", ["999999999", "abc", "0", "-1", "9999999999999999999999"])
def test_an_order_that_does_not_exist_is_not_found(client: httpx.Client, order_id: str) -> None:
    assert_problem(client.get(f"/api/orders/{order_id}"), 404, "order_not_found", 30301)
    assert_problem(client.post(f"/api/orders/{order_id}/cancel"), 404, "order_not_found", 30301)


def test_a_started_payment_answers_the_new_deadline_also_the_second_time(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    before = client.get(f"/api/orders/{order_id}").json()["payment_due_at"]
    first, again = (client.post(f"/api/orders/{order_id}/start-payment") for _ in range(2))
    assert (first.status_code, list(first.json())) == (200, ["order_id", "payment_due_at"])
    assert first.json()["payment_due_at"] > before
    assert again.json() == first.json()
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert client.get(f"/api/orders/{order_id}").json()["payment_due_at"] == first.json()["payment_due_at"]


def test_the_payment_of_a_cancelled_order_cannot_start(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    client.post(f"/api/orders/{order_id}/cancel")
    assert_problem(client.post(f"/api/orders/{order_id}/start-payment"), 409, "order_cancelled", 30303)
