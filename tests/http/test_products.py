"""Products over HTTP: single products and pages."""

import json
from typing import Any

import httpx
import pytest

from tests.http.support import Shop, assert_common_headers, assert_problem
from tests.support import Session

RULES = {
    "sale_starts_at": "2020-01-01T00:00:00Z",
    "sale_ends_at": "2099-01-01T12:30:00Z",
    "maximum_per_customer": 2,
}


def test_a_product_has_its_members_and_headers(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    response = client.get(f"/api/products/{product_id}")
    assert response.status_code == 200
    assert response.json() == {
        "id": product_id,
        "name": "Limited Edition Item",
        "price": 100.0,
        "available_stock": 5,
    }
    assert response.headers["Content-Type"] == "application/json"
    assert_common_headers(response)


@pytest.mark.parametrize("price", ["0.01", "0.00", "19.99", "100.10", "9007199254.99", "9999999999.99"])
def test_a_price_has_the_digits_of_the_decimal_in_every_response(
    client: httpx.Client, session: Session, price: str
) -> None:
    product_id = session.create_product(stock=1, price=price)
    text = client.get(f"/api/products/{product_id}").text
    shown = price.removesuffix("0")  # JSON shows 100.00 as 100.0
    assert f'"price":{shown},' in text
    assert f'"price":{shown},' in client.get(f"/api/products?after={product_id - 1}").text
    with client.stream("GET", f"/api/products/{product_id}/stock/stream") as stream:
        assert f'"price":{shown},' in next(line for line in stream.iter_lines() if line.startswith("data:"))


def test_a_name_outside_ascii_is_returned_unchanged(client: httpx.Client, session: Session) -> None:
    name = 'Größe "M" — 限定 🎟'
    product_id = session.call("create_product", name, "1.00", 1)[0]["product_id"]
    assert client.get(f"/api/products/{product_id}").json()["name"] == name


@pytest.mark.parametrize(
    "product_id",
    ["abc", "-1", "0", "9999999999999999999999", "9223372036854775808", "1.0", "1e3", "+1", "%201", "%D9%A1", "1%00"],
)
def test_an_id_that_no_product_can_have_is_404(client: httpx.Client, product_id: str) -> None:
    assert_problem(client.get(f"/api/products/{product_id}"), 404, "product_not_found", 30101)


def test_a_new_product_is_found_right_after_a_404(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=1) + 1
    assert_problem(client.get(f"/api/products/{product_id}"), 404, "product_not_found", 30101)
    assert session.create_product(stock=7) == product_id
    assert client.get(f"/api/products/{product_id}").json()["available_stock"] == 7


def test_a_hold_reduces_the_available_stock(session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    shop.hold(product_id, 2)
    assert shop.available(product_id) == 3


def pages(client: httpx.Client, limit: int) -> list[dict]:
    """All pages, from the first to the one without `next`."""
    found, after = [], 0
    while after is not None:
        page = client.get("/api/products", params={"limit": limit, "after": after}).json()
        assert set(page) == {"items", "next"}
        found.append(page)
        after = page["next"]
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_pages_list_every_product_once_in_the_order_of_ids(client: httpx.Client, session: Session, limit: int) -> None:
    session.create_product(stock=3)
    everything = [row["id"] for row in session.query("SELECT id FROM products ORDER BY id")]
    found = pages(client, limit)
    assert [item["id"] for page in found for item in page["items"]] == everything
    assert [page["next"] for page in found] == [*(page["items"][-1]["id"] for page in found[:-1]), None]
    assert all(len(page["items"]) == limit for page in found[:-1])


def test_a_full_last_page_has_no_next(client: httpx.Client, session: Session) -> None:
    last = session.create_product(stock=3)
    page = client.get("/api/products", params={"limit": 1, "after": last - 1}).json()
    assert [item["id"] for item in page["items"]] == [last]
    assert page["next"] is None


@pytest.mark.parametrize("after", [1_000_000, 2**63 - 1])
def test_a_page_after_the_last_product_is_empty(client: httpx.Client, after: int) -> None:
    response = client.get("/api/products", params={"after": after})
    assert response.json() == {"items": [], "next": None}
    assert_common_headers(response)


def test_a_page_has_50_items_by_default(client: httpx.Client, session: Session) -> None:
    for _ in range(51):
        session.create_product(stock=1)
    page = client.get("/api/products").json()
    assert len(page["items"]) == 50
    assert page["next"] == page["items"][-1]["id"]


@pytest.mark.parametrize("rules", [{}, {"sale_starts_at": "2020-01-01T00:00:00Z"}, RULES])
def test_a_product_shows_the_rules_that_it_has_in_every_response(
    client: httpx.Client, session: Session, rules: dict[str, Any]
) -> None:
    product_id = session.create_product(stock=5, price="12.50")
    session.call("set_selling_rules", product_id, *(str(rules[name])[:19] if name in rules else None for name in RULES))
    with client.stream("GET", f"/api/products/{product_id}/stock/stream") as stream:
        event = next(line for line in stream.iter_lines() if line.startswith("data:"))
    shown = client.get(f"/api/products/{product_id}").json()
    assert shown == {"id": product_id, "name": "Limited Edition Item", "price": 12.5, "available_stock": 5, **rules}
    assert client.get("/api/products", params={"after": product_id - 1}).json()["items"] == [shown]
    assert json.loads(event.removeprefix("data:")) == shown


def test_an_archived_product_is_found_by_its_id_and_not_listed(client: httpx.Client, session: Session) -> None:
    first, archived, last = (session.create_product(stock=5) for _ in range(3))
    before = client.get(f"/api/products/{archived}").json()
    session.call("archive_product", archived)
    page = client.get("/api/products", params={"after": first - 1, "limit": 1}).json()
    assert ([item["id"] for item in page["items"]], page["next"]) == ([first], first)
    page = client.get("/api/products", params={"after": first, "limit": 1}).json()
    assert ([item["id"] for item in page["items"]], page["next"]) == ([last], None)
    assert client.get(f"/api/products/{archived}").json() == before


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=abc",
        "limit=-1",
        "limit=1.5",
        "limit=",
        "limit=1_0",
        "limit=1&limit=2",
        "after=-1",
        "after=abc",
        "after=9223372036854775808",
        "limit=99999999999999999999999",
    ],
)
def test_invalid_page_parameters_are_422(client: httpx.Client, query: str) -> None:
    assert_problem(client.get(f"/api/products?{query}"), 422, "invalid_request", 30001)
