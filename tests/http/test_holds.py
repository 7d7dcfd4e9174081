"""Holds over HTTP: how they are created, read, extended and released, and how refusals look."""

import re
from datetime import datetime, timedelta

import httpx
import pytest

from tests.http.support import (
    Shop,
    assert_common_headers,
    assert_problem,
    hold_request,
    order_request,
    reduction_request,
)
from tests.support import Session

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def test_a_hold_has_its_members_and_headers(client: httpx.Client, session: Session) -> None:
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


def test_a_hold_is_read_at_its_location(client: httpx.Client, session: Session) -> None:
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


def test_a_release_is_204_also_the_second_time(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    hold_id = shop.hold(product_id, 2)
    for _ in range(2):
        response = client.delete(f"/api/holds/{hold_id}")
        assert response.status_code == 204
        assert response.content == b""
        assert_common_headers(response)
        assert shop.available(product_id) == 5
    assert client.get(f"/api/holds/{hold_id}").json()["status"] == "released"


def test_an_extension_answers_the_new_deadline_also_the_second_time(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    before = datetime.fromisoformat(client.get(f"/api/holds/{hold_id}").json()["expires_at"])
    first, again = (client.post(f"/api/holds/{hold_id}/extend") for _ in range(2))
    assert (first.status_code, list(first.json())) == (200, ["hold_id", "expires_at"])
    assert datetime.fromisoformat(first.json()["expires_at"]) == before + timedelta(seconds=60)
    assert again.json() == first.json()
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert client.get(f"/api/holds/{hold_id}").json()["expires_at"] == first.json()["expires_at"]
    assert_common_headers(first)


def test_an_ordered_hold_names_its_order_and_refuses_every_other_use(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    order_id = shop.order(hold_id)
    hold = client.get(f"/api/holds/{hold_id}").json()
    assert (hold["status"], hold["order_id"]) == ("ordered", order_id)
    for response in (
        client.request(**order_request(hold_id)),
        client.delete(f"/api/holds/{hold_id}"),
        client.post(f"/api/holds/{hold_id}/extend"),
    ):
        assert_problem(response, 409, "hold_already_used", 30203, order_id=order_id)


def test_a_released_hold_is_409(client: httpx.Client, session: Session, shop: Shop) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    client.delete(f"/api/holds/{hold_id}")
    for response in (client.request(**order_request(hold_id)), client.post(f"/api/holds/{hold_id}/extend")):
        assert_problem(response, 409, "hold_released", 30204)


def test_an_expired_hold_is_410(client: httpx.Client, session: Session, shop: Shop) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() WHERE id = %s", hold_id)
    assert client.get(f"/api/holds/{hold_id}").json()["status"] == "expired"
    for response in (
        client.request(**order_request(hold_id)),
        client.request(**reduction_request(hold_id, 1)),
        client.delete(f"/api/holds/{hold_id}"),
        client.post(f"/api/holds/{hold_id}/extend"),
    ):
        assert_problem(response, 410, "hold_expired", 30202)


@pytest.mark.parametrize("hold_id", ["999999999", "abc", "0", "-1", "9999999999999999999999"])
def test_an_id_that_no_hold_has_is_404(client: httpx.Client, hold_id: str) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/extend")):
        response = client.request(method, f"/api/holds/{hold_id}{path}", json={"quantity": 1})
        assert_problem(response, 404, "hold_not_found", 30201)


def test_a_hold_of_a_product_that_does_not_exist_is_404(client: httpx.Client) -> None:
    assert_problem(client.request(**hold_request(999_999_999)), 404, "product_not_found", 30101)


def test_a_shortage_is_409_with_the_available_stock(client: httpx.Client, session: Session) -> None:
    response = client.request(**hold_request(session.create_product(stock=3), 4))
    assert_problem(response, 409, "insufficient_stock", 30102, available_stock=3)


def test_more_than_the_maximum_per_hold_is_422(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.call("change_product", product_id, "Limited Edition Item", "100.00", 2)
    assert_problem(client.request(**hold_request(product_id, 3)), 422, "quantity_out_of_range", 30103)


def test_a_hold_outside_the_sale_s_hours_is_409(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    opens, closed = "2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
    session.call("set_selling_rules", product_id, opens[:-1], None, None)
    refused = client.request(**hold_request(product_id))
    assert_problem(refused, 409, "sale_not_open", 30104, sale_starts_at=opens)
    session.call("set_selling_rules", product_id, "2019-01-01 00:00:00", closed[:-1], None)
    refused = client.request(**hold_request(product_id))
    assert_problem(refused, 409, "sale_not_open", 30104, sale_starts_at="2019-01-01T00:00:00Z", sale_ends_at=closed)


def test_a_hold_of_an_archived_product_is_410_and_a_recorded_key_still_replays(
    client: httpx.Client, session: Session
) -> None:
    product_id = session.create_product(stock=5)
    made = client.request(**hold_request(product_id, key=f"archived {product_id}"))
    session.call("archive_product", product_id)
    assert_problem(client.request(**hold_request(product_id)), 410, "product_archived", 30107)
    replay = client.request(**hold_request(product_id, key=f"archived {product_id}"))
    assert (replay.status_code, replay.json()) == (201, made.json())
    assert client.request(**order_request(made.json()["hold_id"])).status_code == 201


def test_a_customer_over_the_maximum_is_409_and_a_missing_customer_422(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.call("set_selling_rules", product_id, None, None, 2)
    assert client.request(**hold_request(product_id, 2, customer_id="ada")).status_code == 201
    refused = client.request(**hold_request(product_id, customer_id="ada"))
    assert_problem(refused, 409, "customer_limit_reached", 30105)
    assert_problem(client.request(**hold_request(product_id)), 422, "customer_id_required", 30106)


def test_a_customer_id_that_is_not_a_short_text_is_422(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    for customer in (7, True, ["ada"], {}, "", "x" * 65, "é" * 33):
        response = client.request(**hold_request(product_id, customer_id=customer))
        assert_problem(response, 422, "invalid_request", 30001)


def test_a_reduced_hold_keeps_its_deadline_and_gives_up_the_rest(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=5)
    hold = client.request(**hold_request(product_id, 3)).json()
    for replayed in (None, "true"):
        response = client.patch(f"/api/holds/{hold['hold_id']}", json={"quantity": 1})
        assert response.status_code == 200
        assert response.json() == {"hold_id": hold["hold_id"], "quantity": 1, "expires_at": hold["expires_at"]}
        assert response.headers.get("Idempotent-Replayed") == replayed
        assert shop.available(product_id) == 4
    response = client.patch(f"/api/holds/{hold['hold_id']}", json={"quantity": 2})
    assert_problem(response, 422, "quantity_out_of_range", 30103)
