"""Orders over HTTP: made from holds, read, cancelled."""

import re

import httpx
import pytest

from tests.http.support import (
    Service,
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
        "lines": [
            {
                "hold_id": created.json()["hold_id"],
                "product_id": product_id,
                "quantity": 3,
                "unit_price": 19.99,
                "refunded_quantity": 0,
            }
        ],
    }
    assert_common_headers(response)


def test_an_order_may_wait_900_seconds_for_its_payment(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    text = client.get(f"/api/orders/{order_id}").json()["payment_due_at"]
    (row,) = session.query(
        "SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), %s) AS remaining_s", text.rstrip("Z").replace("T", " ")
    )
    assert 800 < row["remaining_s"] <= 901


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


def test_orders_that_are_made_one_at_a_time_get_consecutive_ids(session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    first = shop.ordered(product_id)
    assert [shop.ordered(product_id) for _ in range(4)] == list(range(first + 1, first + 5))


def test_one_hold_becomes_one_order_however_many_try(service: Service, session: Session, shop: Shop) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    answers = service.at_once([order_request(hold_id)] * 50)
    accepted = [answer for answer in answers if answer.status_code == 201]
    assert len(accepted) == 1
    for answer in answers:
        if answer is not accepted[0]:
            assert_problem(answer, 409, "hold_already_used", 30203, order_id=accepted[0].json()["order_id"])


def test_an_order_of_an_unknown_hold_is_refused(client: httpx.Client) -> None:
    assert_problem(client.request(**order_request(999_999_999)), 404, "hold_not_found", 30201)


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


def test_an_order_is_cancelled_once_however_many_try(service: Service, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id, 2)
    answers = service.at_once([{"method": "POST", "url": f"/api/orders/{order_id}/cancel"}] * 50)
    assert {answer.status_code for answer in answers} == {200}
    assert shop.available(product_id) == 5


def test_a_paid_order_cannot_be_cancelled(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id, 2)
    shop.pay("paid before it is cancelled", order_id)
    response = client.post(f"/api/orders/{order_id}/cancel")
    assert_problem(response, 409, "order_already_paid", 30302)
    assert client.get(f"/api/orders/{order_id}").json()["status"] == "paid"
    assert shop.available(product_id) == 3


def test_an_overdue_order_is_cancelled_by_the_sweep_and_returns_its_stock(
    client: httpx.Client, session: Session
) -> None:
    product_id = session.create_product(stock=5)
    session.travel(-1000)
    hold_id = session.call("create_hold", product_id, 2, None)[0]["hold_id"]
    order_id = session.call("create_order", hold_id, None)[0]["order_id"]
    session.travel(0)
    assert client.get(f"/api/orders/{order_id}").json()["status"] == "pending"
    session.call("expire_due", 1000)
    assert client.get(f"/api/orders/{order_id}").json()["status"] == "cancelled"
    assert session.available(product_id) == 5


@pytest.mark.parametrize("order_id", ["999999999", "abc", "0", "-1", "9999999999999999999999"])
def test_an_order_that_does_not_exist_is_not_found(client: httpx.Client, order_id: str) -> None:
    assert_problem(client.get(f"/api/orders/{order_id}"), 404, "order_not_found", 30301)
    assert_problem(client.post(f"/api/orders/{order_id}/cancel"), 404, "order_not_found", 30301)
