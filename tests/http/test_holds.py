"""Holds over HTTP: made, read, given back."""

import re
from datetime import datetime, timedelta

import httpx
import pytest

from tests.http.support import Shop, assert_common_headers, assert_problem, hold_request, order_request
from tests.support import Session

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def database_now(session: Session) -> datetime:
    """The database's clock."""
    now: datetime = session.query("SELECT UTC_TIMESTAMP(6) AS now")[0]["now"]
    return now


def expired_hold(session: Session, product_id: int, *, is_swept: bool) -> int:
    """A hold whose deadline passed a minute ago."""
    session.travel(-180)
    hold_id: int = session.call("create_hold", product_id, 1, None)[0]["hold_id"]
    session.travel(0)
    if is_swept:
        session.call("expire_due", 1000)
    return hold_id


def test_a_hold_has_exactly_the_promised_members_and_headers(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    response = client.request(**hold_request(product_id, 2))
    assert response.status_code == 201
    hold = response.json()
    assert list(hold) == ["hold_id", "expires_at"]
    assert TIME.fullmatch(hold["expires_at"])
    assert response.headers["Location"] == f"/api/holds/{hold['hold_id']}"
    assert response.headers["Idempotency-Key"]
    assert "Idempotent-Replayed" not in response.headers
    assert_common_headers(response)


def test_a_hold_lives_120_seconds_of_the_databases_clock(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    before = database_now(session)
    hold = client.request(**hold_request(product_id)).json()
    after = database_now(session)
    expires_at = datetime.fromisoformat(hold["expires_at"]).replace(tzinfo=None)
    assert before + timedelta(seconds=120) <= expires_at <= after + timedelta(seconds=121)


def test_a_holds_location_shows_it(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5, price="19.90")
    created = client.request(**hold_request(product_id, 2))
    response = client.get(created.headers["Location"])
    assert response.status_code == 200
    assert response.json() == {
        "hold_id": created.json()["hold_id"],
        "product_id": product_id,
        "quantity": 2,
        "status": "active",
        "expires_at": created.json()["expires_at"],
        "unit_price": 19.9,
    }
    assert_common_headers(response)


def test_a_released_hold_gives_its_units_back_and_may_be_released_again(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=5)
    hold_id = shop.hold(product_id, 2)
    for _ in range(2):
        response = client.delete(f"/api/holds/{hold_id}")
        assert response.status_code == 204
        assert response.content == b""
        assert_common_headers(response)
        assert shop.available(product_id) == 5
    assert client.get(f"/api/holds/{hold_id}").json()["status"] == "released"


def test_a_released_hold_cannot_be_ordered(client: httpx.Client, session: Session, shop: Shop) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    client.delete(f"/api/holds/{hold_id}")
    assert_problem(client.request(**order_request(hold_id)), 409, "hold_released", 30204)


def test_an_ordered_hold_can_be_neither_released_nor_ordered_again(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    order_id = shop.order(hold_id)
    hold = client.get(f"/api/holds/{hold_id}").json()
    assert (hold["status"], hold["order_id"]) == ("ordered", order_id)
    for answer in (client.delete(f"/api/holds/{hold_id}"), client.request(**order_request(hold_id))):
        assert_problem(answer, 409, "hold_already_used", 30203, order_id=order_id)


def test_a_hold_used_before_its_deadline_is_used_and_not_expired_after_it(
    client: httpx.Client, session: Session
) -> None:
    product_id = session.create_product(stock=5)
    session.travel(-180)
    hold_id = session.call("create_hold", product_id, 1, None)[0]["hold_id"]
    order_id = session.call("create_order", hold_id, None)[0]["order_id"]
    session.travel(0)
    assert client.get(f"/api/holds/{hold_id}").json()["status"] == "ordered"
    for answer in (client.request(**order_request(hold_id)), client.delete(f"/api/holds/{hold_id}")):
        assert_problem(answer, 409, "hold_already_used", 30203, order_id=order_id)


@pytest.mark.parametrize("is_swept", [False, True], ids=["before the sweep", "after the sweep"])
def test_a_hold_past_its_deadline_is_expired(client: httpx.Client, session: Session, is_swept: bool) -> None:
    hold_id = expired_hold(session, session.create_product(stock=5), is_swept=is_swept)
    assert client.get(f"/api/holds/{hold_id}").json()["status"] == "expired"
    assert_problem(client.request(**order_request(hold_id)), 410, "hold_expired", 30202)
    assert_problem(client.delete(f"/api/holds/{hold_id}"), 410, "hold_expired", 30202)


def test_the_units_of_a_hold_past_its_deadline_can_be_held_before_any_sweep(
    client: httpx.Client, session: Session
) -> None:
    product_id = session.create_product(stock=1)
    expired_hold(session, product_id, is_swept=False)
    assert client.request(**hold_request(product_id)).status_code == 201


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("hold_id", ["999999999", "abc", "0", "-1", "9999999999999999999999"])
def test_a_hold_that_does_not_exist_is_not_found(client: httpx.Client, method: str, hold_id: str) -> None:
    assert_problem(client.request(method, f"/api/holds/{hold_id}"), 404, "hold_not_found", 30201)


def test_a_hold_of_an_unknown_product_is_refused(client: httpx.Client) -> None:
    assert_problem(client.request(**hold_request(999_999_999)), 404, "product_not_found", 30101)


@pytest.mark.parametrize(("stock", "quantity"), [(3, 4), (3, 1_000_000), (0, 1)])
def test_a_shortage_is_refused_with_what_is_left(
    client: httpx.Client, session: Session, stock: int, quantity: int
) -> None:
    product_id = session.create_product(stock=stock)
    response = client.request(**hold_request(product_id, quantity))
    assert_problem(response, 409, "insufficient_stock", 30102, available_stock=stock)
    assert session.available(product_id) == stock


def test_more_than_the_products_maximum_is_refused(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.execute("UPDATE products SET maximum_per_hold = 2 WHERE id = %s", product_id)
    assert_problem(client.request(**hold_request(product_id, 3)), 422, "quantity_out_of_range", 30103)
    assert client.request(**hold_request(product_id, 2)).status_code == 201


def test_where_several_refusals_apply_the_maximum_comes_before_the_shortage(
    client: httpx.Client, session: Session
) -> None:
    product_id = session.create_product(stock=1)
    session.execute("UPDATE products SET maximum_per_hold = 2 WHERE id = %s", product_id)
    assert_problem(client.request(**hold_request(product_id, 3)), 422, "quantity_out_of_range", 30103)
    assert_problem(client.request(**hold_request(product_id, 2)), 409, "insufficient_stock", 30102, available_stock=1)
