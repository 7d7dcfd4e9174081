"""Selling rules over HTTP: when a product is on sale, who may have how much of it, and who gets more time."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx
import pytest

from tests.http.support import Service, Shop, assert_common_headers, assert_problem, hold_request, order_request
from tests.support import Session


def limited_product(session: Session, stock: int, maximum: int) -> int:
    """A product of which each customer may have so many units."""
    product_id = session.create_product(stock=stock)
    session.call("set_selling_rules", product_id, None, None, maximum)
    return product_id


@pytest.mark.parametrize(("starts_in_s", "ends_in_s"), [(3600, None), (None, 0), (-7200, -3600)])
def test_a_product_is_not_held_while_its_sale_is_closed(
    client: httpx.Client, session: Session, starts_in_s: int | None, ends_in_s: int | None
) -> None:
    product_id = session.create_product(stock=5)
    now = session.query("SELECT UTC_TIMESTAMP() AS now")[0]["now"]
    moments = [None if seconds is None else now + timedelta(seconds=seconds) for seconds in (starts_in_s, ends_in_s)]
    session.call("set_selling_rules", product_id, *moments, None)
    assert_problem(client.request(**hold_request(product_id)), 409, "sale_not_open", 30104)
    assert session.available(product_id) == 5
    assert client.get(f"/api/products/{product_id}").json()["available_stock"] == 5
    session.call("set_selling_rules", product_id, None, None, None)
    assert client.request(**hold_request(product_id)).status_code == 201


def test_a_customer_has_at_most_the_maximum(client: httpx.Client, session: Session) -> None:
    product_id = limited_product(session, stock=9, maximum=2)
    assert client.request(**hold_request(product_id, 2, customer_id="ada")).status_code == 201
    refused = client.request(**hold_request(product_id, customer_id="ada"))
    assert_problem(refused, 409, "customer_limit_reached", 30105)
    assert client.request(**hold_request(product_id, customer_id="bob")).status_code == 201
    assert_problem(client.request(**hold_request(product_id)), 422, "customer_id_required", 30106)
    assert session.available(product_id) == 6


def test_units_that_came_back_may_be_held_by_their_customer_again(client: httpx.Client, session: Session) -> None:
    product_id = limited_product(session, stock=9, maximum=1)
    request = hold_request(product_id, customer_id="ada")
    client.delete(client.request(**request).headers["Location"])
    order = client.request(**order_request(client.request(**request).json()["hold_id"]))
    assert_problem(client.request(**request), 409, "customer_limit_reached", 30105)
    client.post(f"{order.headers['Location']}/cancel")
    assert client.request(**request).status_code == 201


def test_a_retry_of_an_accepted_hold_is_not_told_of_the_maximum(client: httpx.Client, session: Session) -> None:
    request = hold_request(limited_product(session, stock=9, maximum=1), key="retried", customer_id="ada")
    first, again = client.request(**request), client.request(**request)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = hold_request(request["json"]["product_id"], key="retried", customer_id="bob")
    assert_problem(client.request(**other), 409, "idempotency_key_reused", 30002)


@pytest.mark.parametrize("customer", [7, True, ["ada"], {}, "", "x" * 65, "é" * 33])
def test_a_customer_that_is_no_short_text_is_malformed(
    client: httpx.Client, session: Session, customer: object
) -> None:
    product_id = session.create_product(stock=5)
    assert_problem(client.request(**hold_request(product_id, customer_id=customer)), 422, "invalid_request", 30001)
    assert session.available(product_id) == 5


def test_customers_who_ask_all_at_once_from_two_workers_get_the_maximum_each(
    service: Service, session: Session
) -> None:
    product_id = limited_product(session, stock=1000, maximum=5)
    customers = [f"customer {number % 12}" for number in range(360)]
    responses = service.at_once(
        [
            hold_request(product_id, 1 + (number // 12) % 2, customer_id=customer)
            for number, customer in enumerate(customers)
        ]
    )
    units: Counter[str] = Counter()
    for customer, response in zip(customers, responses, strict=True):
        if response.status_code == 201:
            units[customer] += session.call("get_hold", response.json()["hold_id"])[0]["quantity"]
        else:
            assert_problem(response, 409, "customer_limit_reached", 30105)
    assert units == dict.fromkeys(customers, 5)
    assert session.available(product_id) == 1000 - 12 * 5


def test_a_hold_is_extended_once(client: httpx.Client, session: Session, shop: Shop) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    before = moment(client.get(f"/api/holds/{hold_id}").json()["expires_at"])
    first, again = (client.post(f"/api/holds/{hold_id}/extend") for _ in range(2))
    assert (first.status_code, list(first.json())) == (200, ["hold_id", "expires_at"])
    assert moment(first.json()["expires_at"]) == before + timedelta(seconds=60)
    assert again.json() == first.json()
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert client.get(f"/api/holds/{hold_id}").json()["expires_at"] == first.json()["expires_at"]
    assert_common_headers(first)


def test_only_an_active_hold_is_extended(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    used, released, due = shop.hold(product_id), shop.hold(product_id), shop.hold(product_id)
    order_id = shop.order(used)
    client.delete(f"/api/holds/{released}")
    session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() WHERE id = %s", due)
    answers = {hold_id: client.post(f"/api/holds/{hold_id}/extend") for hold_id in (used, released, due, 10**9)}
    assert_problem(answers[used], 409, "hold_already_used", 30203, order_id=order_id)
    assert_problem(answers[released], 409, "hold_released", 30204)
    assert_problem(answers[due], 410, "hold_expired", 30202)
    assert_problem(answers[10**9], 404, "hold_not_found", 30201)


def test_an_order_waits_longer_once_its_buyer_is_paying(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    now = session.query("SELECT UTC_TIMESTAMP() AS now")[0]["now"]
    first, again = (client.post(f"/api/orders/{order_id}/start-payment") for _ in range(2))
    assert (first.status_code, list(first.json())) == (200, ["order_id", "payment_due_at"])
    assert moment(first.json()["payment_due_at"]) >= now + timedelta(seconds=1800)
    assert again.json() == first.json()
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert client.get(f"/api/orders/{order_id}").json()["payment_due_at"] == first.json()["payment_due_at"]


def test_only_a_pending_order_is_given_time(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    paid, cancelled = shop.ordered(product_id), shop.ordered(product_id)
    shop.pay(f"pays {paid}", paid)
    client.post(f"/api/orders/{cancelled}/cancel")
    answers = {order_id: client.post(f"/api/orders/{order_id}/start-payment") for order_id in (paid, cancelled, 10**9)}
    assert_problem(answers[paid], 409, "order_already_paid", 30302)
    assert_problem(answers[cancelled], 409, "order_cancelled", 30303)
    assert_problem(answers[10**9], 404, "order_not_found", 30301)


@pytest.mark.parametrize("url", ["/api/holds/{}/extend", "/api/orders/{}/start-payment"])
@pytest.mark.parametrize("row_id", ["abc", "0", "-1", "9" * 30])
def test_what_is_no_id_is_not_found(client: httpx.Client, url: str, row_id: str) -> None:
    assert client.post(url.format(row_id)).status_code == 404


def test_extensions_and_starts_are_in_the_log_once(start_service: Callable[..., Service], session: Session) -> None:
    service = start_service(WEB_CONCURRENCY="1")
    with service.client() as client:
        hold_id = Shop(client).hold(session.create_product(stock=5))
        for _ in range(2):
            client.post(f"/api/holds/{hold_id}/extend")
        order_id = Shop(client).order(hold_id)
        for _ in range(2):
            client.post(f"/api/orders/{order_id}/start-payment")
    assert len(service.events("hold_extended", hold_id=hold_id)) == 1
    assert len(service.events("payment_started", order_id=order_id)) == 1


def moment(text: str) -> datetime:
    """A time of an answer, as the database gives it."""
    return datetime.fromisoformat(text).replace(tzinfo=None)
