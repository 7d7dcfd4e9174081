"""Refunds over HTTP."""

import json
from typing import Any

import httpx
import pytest

from tests.http.support import Service, Shop, assert_common_headers, assert_problem, refund_request
from tests.support import Session


def paid_order(shop: Shop, session: Session, *prices: str) -> tuple[int, list[int], list[int]]:
    """A paid order of three units each of products that cost so much; returns its id, its products and its holds."""
    products = [session.create_product(stock=3, price=price) for price in prices]
    holds = [shop.hold(product_id, 3) for product_id in products]
    order_id = shop.order(holds)
    shop.pay(f"payment of {order_id}", order_id)
    return order_id, products, holds


def test_a_whole_refund_has_exactly_the_promised_members_and_headers(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    order_id, (first, second), _ = paid_order(shop, session, "250000000.01", "0.10")
    response = client.request(**refund_request(order_id))
    assert response.status_code == 201
    refund_id = response.json()["refund_id"]
    assert response.text == (
        f'{{"refund_id":{refund_id},"order_id":{order_id},"amount":750000000.33,"status":"refunded"}}'
    )
    assert response.headers["Idempotency-Key"]
    assert "Idempotent-Replayed" not in response.headers
    assert_common_headers(response)
    order = client.get(f"/api/orders/{order_id}").json()
    assert (order["status"], [line["refunded_quantity"] for line in order["lines"]]) == ("refunded", [3, 3])
    assert [shop.available(product_id) for product_id in (first, second)] == [3, 3]


def test_a_refund_by_line_and_quantity_leaves_the_order_paid_until_nothing_is_left(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    order_id, products, holds = paid_order(shop, session, "19.99", "5.00")
    refund = client.request(**refund_request(order_id, {holds[0]: 1, holds[1]: 2}, restock=False)).json()
    assert (refund["amount"], refund["status"]) == (29.99, "paid")
    assert [shop.available(product_id) for product_id in products] == [0, 0]
    rest = client.post(f"/api/orders/{order_id}/refunds", json={"restock": True, "lines": None}).json()
    assert (rest["amount"], rest["status"]) == (44.98, "refunded")
    assert [shop.available(product_id) for product_id in products] == [2, 1]


def test_a_refused_refund_says_why(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id, _, holds = paid_order(shop, session, "1.00")
    pending = shop.ordered(session.create_product(stock=1))
    assert_problem(client.request(**refund_request(pending)), 409, "order_not_paid", 30304)
    assert_problem(client.request(**refund_request(order_id, {holds[0]: 4})), 409, "refund_exceeds_order", 30305)
    assert_problem(client.request(**refund_request(10**9)), 404, "order_not_found", 30301)
    client.request(**refund_request(order_id, {holds[0]: 1}, key="once"))
    reused = client.request(**refund_request(order_id, {holds[0]: 2}, key="once"))
    assert_problem(reused, 409, "idempotency_key_reused", 30002)
    client.request(**refund_request(order_id))
    assert_problem(client.request(**refund_request(order_id)), 409, "refund_exceeds_order", 30305)


@pytest.mark.parametrize(
    "body",
    [
        {"lines": None},
        {"restock": None},
        {"restock": 1},
        {"restock": "true"},
        {"restock": True, "lines": []},
        {"restock": True, "lines": [{"hold_id": number, "quantity": 1} for number in range(1, 52)]},
        {"restock": True, "lines": [{"hold_id": "own", "quantity": 1}] * 2},
        {"restock": True, "lines": [{"hold_id": "own", "quantity": 0}]},
        {"restock": True, "lines": [{"hold_id": "own", "quantity": 1.5}]},
        {"restock": True, "lines": [{"hold_id": 10**9, "quantity": 1}]},
        {"restock": True, "lines": [{"hold_id": "own"}]},
    ],
)
def test_an_invalid_body_is_422_and_refunds_nothing(
    client: httpx.Client, session: Session, shop: Shop, body: dict[str, Any]
) -> None:
    order_id, (product_id,), (hold_id,) = paid_order(shop, session, "1.00")
    text = json.dumps(body).replace('"own"', str(hold_id))
    response = client.post(
        f"/api/orders/{order_id}/refunds", content=text, headers={"Content-Type": "application/json"}
    )
    assert_problem(response, 422, "invalid_request", 30001)
    assert shop.available(product_id) == 0


def test_of_many_concurrent_refunds_of_an_orders_units_exactly_as_many_succeed_as_there_are_units(
    service: Service, session: Session, shop: Shop
) -> None:
    order_id, (product_id,), (hold_id,) = paid_order(shop, session, "1.00")
    responses = service.at_once([refund_request(order_id, {hold_id: 1})] * 30)
    assert sorted(response.status_code for response in responses) == [201] * 3 + [409] * 27
    assert shop.available(product_id) == 3
