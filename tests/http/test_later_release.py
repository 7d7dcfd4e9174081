"""Workers keep working when procedures of a later release return more columns and result sets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.http.support import Service, Shop, assert_problem, order_request
from tests.later_release import later_release
from tests.support import Session


@pytest.fixture(autouse=True)
def _later_release(service: Service, database_url: str, tmp_path: Path) -> Iterator[None]:
    """Deploy the later release after the service has started."""
    assert service.is_running()
    with later_release(database_url, tmp_path):
        yield


def test_the_later_release_returns_more_columns_and_result_sets(session: Session) -> None:
    answer, further = session.call_all("get_holds", "[1]")
    assert list(answer[0])[-2:] == ["unit_price", "later"]
    assert further == [{"later": "later"}]


def test_a_sale_works(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    assert shop.available(product_id) == 5
    hold_id = shop.hold(product_id, 2)
    assert shop.available(product_id) == 3, "the worker has not published the stock that the hold changed"
    assert client.post(f"/api/holds/{hold_id}/extend").status_code == 200
    order_id = shop.order(hold_id)
    assert client.get(f"/api/holds/{hold_id}").json()["order_id"] == order_id
    assert_problem(client.request(**order_request(hold_id)), 409, "hold_already_used", 30203, order_id=order_id)
    assert client.post(f"/api/orders/{order_id}/start-payment").status_code == 200
    assert shop.pay("of the later release", order_id)["status"] == "paid"
    assert client.get(f"/api/orders/{order_id}").json()["status"] == "paid"
    assert client.post(f"/api/orders/{shop.ordered(product_id)}/cancel").status_code == 200
    assert client.delete(f"/api/holds/{shop.hold(product_id)}").status_code == 204
    assert shop.available(product_id) == 3
    items = client.get("/api/products", params={"after": product_id - 1}).json()["items"]
    assert [item["available_stock"] for item in items] == [3]


def test_readiness_and_metrics_work(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    assert client.get("/readyz").json()["mysql"] == "ok"
    lines = client.get("/metrics").text.splitlines()
    assert "checkout_mysql_up 1.0" in lines
    assert f'checkout_stock_available_units{{product_id="{product_id}"}} 5.0' in lines


def test_the_service_starts(start_service: Callable[..., Service]) -> None:
    assert start_service().answers()
