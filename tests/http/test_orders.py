"""Orders over HTTP: made from holds, read, listed, cancelled."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.http.support import (
    Shop,
    assert_common_headers,
    assert_problem,
    hold_request,
    order_request,
)
from tests.support import Session

MOMENT = timedelta(seconds=2)
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
    for replayed in (None, "true"):
        response = client.post(f"/api/orders/{order_id}/cancel")
        assert response.status_code == 200
        assert response.json() == {"order_id": order_id, "hold_id": hold_id, "status": "cancelled"}
        assert response.headers.get("Idempotent-Replayed") == replayed
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


def test_pages_list_a_customers_orders_as_they_are_shown_one_by_one(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=9)
    holds = [
        client.request(**hold_request(product_id, customer_id=customer)).json()["hold_id"]
        for customer in ("é&+ 7", "another", "é&+ 7", "é&+ 7")
    ]
    first, _, last = shop.order(holds[0]), shop.order(holds[1]), shop.order(holds[2:])
    shown = [client.get(f"/api/orders/{order_id}").json() for order_id in (first, last)]
    page, rest, whole = (
        client.get("/api/orders", params={"customer_id": "é&+ 7", **parameters})
        for parameters in ({"limit": 1}, {"limit": 1, "after": first}, {"limit": 2})
    )
    assert page.json() == {"items": shown[:1], "next": first}
    assert rest.json() == {"items": shown[1:], "next": None}
    assert whole.json() == {"items": shown, "next": None}
    assert_common_headers(page)


def test_without_a_customer_the_orders_of_all_customers_are_listed(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=9)
    hold = client.request(**hold_request(product_id, customer_id="somebody")).json()["hold_id"]
    order_ids = [shop.order(hold), shop.ordered(product_id)]
    items = client.get("/api/orders", params={"after": order_ids[0] - 1}).json()["items"]
    assert [item["order_id"] for item in items] == order_ids


@pytest.mark.parametrize(
    "query",
    [
        "customer_id=",
        "customer_id=" + "x" * 65,
        "customer_id=" + "%C3%A9" * 33,
        "customer_id=%E9",
        "customer_id=a&customer_id=b",
        "limit=201",
        "after=-1",
    ],
)
def test_invalid_parameters_of_a_list_of_orders_are_422(client: httpx.Client, query: str) -> None:
    assert_problem(client.get(f"/api/orders?{query}"), 422, "invalid_request", 30001)


@pytest.mark.parametrize("order_id", ["999999999", "abc", "0", "-1", "9999999999999999999999"])
def test_an_order_that_does_not_exist_is_not_found(client: httpx.Client, order_id: str) -> None:
    assert_problem(client.get(f"/api/orders/{order_id}"), 404, "order_not_found", 30301)
    assert_problem(client.post(f"/api/orders/{order_id}/cancel"), 404, "order_not_found", 30301)


def hold_of_each(shop: Shop, session: Session, *prices: str) -> list[int]:
    """Holds of two units each, of products that cost so much."""
    return [shop.hold(session.create_product(stock=5, price=price), 2) for price in prices]


def test_an_order_of_several_holds_has_exactly_the_promised_members(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    holds = hold_of_each(shop, session, "19.99", "0.10")
    response = client.request(**order_request(holds))
    assert response.status_code == 201
    order = response.json()
    assert order == {"order_id": order["order_id"], "hold_ids": holds, "status": "pending"}
    assert response.headers["Location"] == f"/api/orders/{order['order_id']}"
    shown = client.get(response.headers["Location"]).json()
    assert TIME.fullmatch(shown.pop("payment_due_at"))
    products = [client.get(f"/api/holds/{hold_id}").json()["product_id"] for hold_id in holds]
    assert shown == {
        "order_id": order["order_id"],
        "amount": 40.18,
        "status": "pending",
        "lines": [
            {"hold_id": hold, "product_id": product, "quantity": 2, "unit_price": price, "refunded_quantity": 0}
            for hold, product, price in zip(holds, products, (19.99, 0.1), strict=True)
        ],
    }
    for _ in range(2):
        cancelled = client.post(f"/api/orders/{order['order_id']}/cancel")
        assert cancelled.json() == {"order_id": order["order_id"], "hold_ids": holds, "status": "cancelled"}
        assert [shop.available(product_id) for product_id in products] == [5, 5]


def test_one_payment_pays_an_order_of_several_holds(client: httpx.Client, session: Session, shop: Shop) -> None:
    holds = hold_of_each(shop, session, "1.00", "2.00", "3.00")
    order_id = shop.order(holds)
    assert shop.pay(f"all of {order_id}", order_id)["status"] == "paid"
    for hold_id in holds:
        hold = client.get(f"/api/holds/{hold_id}").json()
        assert (hold["status"], hold["order_id"]) == ("ordered", order_id)


def test_the_answer_to_a_replay_has_the_form_of_the_first_request(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    listed, plain = hold_of_each(shop, session, "1.00", "2.00")
    for first, again in (
        (order_request([listed], "listed"), order_request(listed, "listed")),
        (order_request(plain, "plain"), order_request([plain], "plain")),
    ):
        made, replay = client.request(**first), client.request(**again)
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.content == made.content
        assert made.json().keys() - {"order_id", "status"} == first["json"].keys()


def test_a_refusal_of_several_holds_names_the_hold_that_refused(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    fresh, released, used, due = hold_of_each(shop, session, "1.00", "2.00", "3.00", "4.00")
    client.delete(f"/api/holds/{released}")
    order_id = shop.order(used)
    session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() - INTERVAL 1 SECOND WHERE id = %s", due)
    for hold_id, status, slug, errno, members in (
        (released, 409, "hold_released", 30204, {}),
        (used, 409, "hold_already_used", 30203, {"order_id": order_id}),
        (due, 410, "hold_expired", 30202, {}),
        (999_999_999, 404, "hold_not_found", 30201, {}),
    ):
        response = client.request(**order_request([fresh, hold_id]))
        assert_problem(response, status, slug, errno, hold_id=hold_id, **members)
    assert client.get(f"/api/holds/{fresh}").json()["status"] == "active"


@pytest.mark.parametrize("count", [0, 51])
def test_an_order_has_one_to_fifty_holds(client: httpx.Client, count: int) -> None:
    assert_problem(client.request(**order_request([*range(1, count + 1)])), 422, "invalid_request", 30001)


@pytest.mark.parametrize("form", ["both", "twice"])
def test_an_order_names_each_of_its_holds_once(client: httpx.Client, session: Session, shop: Shop, form: str) -> None:
    first, second = hold_of_each(shop, session, "1.00", "2.00")
    body = {"both": {"hold_id": first, "hold_ids": [second]}, "twice": {"hold_ids": [first, second, first]}}[form]
    assert_problem(client.post("/api/orders", json=body), 422, "invalid_request", 30001)
    assert shop.order([first, second])


def test_holds_of_several_customers_are_no_order(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    holds = [
        client.request(**hold_request(product_id, customer_id=customer)).json()["hold_id"]
        for customer in ("ada", "bob")
    ]
    assert_problem(client.request(**order_request(holds)), 422, "invalid_request", 30001)


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


@pytest.mark.parametrize(
    ("body", "seconds"),
    [('{"window_s": 1200}', 1200), ('{"window_s": 12e2}', 1200), ('{"window_s": null}', 1800), ("{}", 1800)],
)
def test_a_payment_may_start_with_a_window_of_its_own(
    client: httpx.Client, session: Session, shop: Shop, body: str, seconds: int
) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    before = datetime.now(UTC)
    answer = client.post(f"/api/orders/{order_id}/start-payment", content=body)
    due_at = datetime.fromisoformat(answer.json()["payment_due_at"])
    assert before - MOMENT <= due_at - timedelta(seconds=seconds) <= datetime.now(UTC) + MOMENT


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"window_s": 1801}', 422),  # the setting payment_window_maximum_s
        *((f'{{"window_s": {value}}}', 422) for value in ("0", "-1", "1.5", "true", '"1200"', "9" * 30)),
        ("[]", 422),
        ("null", 422),
        ("{", 400),
    ],
)
def test_a_window_of_the_wrong_form_starts_no_payment(
    client: httpx.Client, session: Session, shop: Shop, body: str, status: int
) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    path = f"/api/orders/{order_id}/start-payment"
    assert_problem(client.post(path, content=body), status, "invalid_request", 30001)
    assert "Idempotent-Replayed" not in client.post(path).headers


def test_the_payment_of_a_cancelled_order_cannot_start(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    client.post(f"/api/orders/{order_id}/cancel")
    assert_problem(client.post(f"/api/orders/{order_id}/start-payment"), 409, "order_cancelled", 30303)
