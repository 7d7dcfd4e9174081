"""With API keys, a hold or an order belongs to the caller that made it; for other callers it does not exist."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.http.support import Service, assert_problem, hold_request, order_request, payment_request, refund_request
from tests.support import Session

KEYS = {"web": "a key of the web shop", "web, rotated": "the next key of the web shop", "app": "a key of the app"}
API_KEYS = ",".join(f"{name[:3]}:{sha256(key.encode()).hexdigest()}" for name, key in KEYS.items())


class Caller:
    """A client with one of the API keys."""

    def __init__(self, client: httpx.Client, key: str) -> None:
        self._client = client
        self._bearer = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        """Send a request with the caller's API key."""
        return self._client.request(
            method, url, **{**request, "headers": {**request.get("headers", {}), **self._bearer}}
        )

    def hold(self, product_id: int) -> int:
        """Hold a unit; returns the hold's id."""
        hold_id: int = self.ask(**hold_request(product_id)).json()["hold_id"]
        return hold_id

    def order(self, product_id: int) -> int:
        """Hold and order a unit; returns the order's id."""
        order_id: int = self.ask(**order_request(self.hold(product_id))).json()["order_id"]
        return order_id


@pytest.fixture(scope="module")
def keyed(start_service: Callable[..., Service]) -> Service:
    """A service with API keys of two callers, of which one has two keys."""
    return start_service(API_KEYS=API_KEYS)


@pytest.fixture
def callers(keyed: Service) -> Iterator[dict[str, Caller]]:
    """A client for each API key."""
    with keyed.client() as client:
        yield {name: Caller(client, key) for name, key in KEYS.items()}


HOLD_CALLS = [("GET", ""), ("POST", "/extend"), ("DELETE", "")]
ORDER_CALLS = [("GET", ""), ("POST", "/start-payment"), ("POST", "/cancel")]


@pytest.mark.parametrize(("method", "action"), HOLD_CALLS)
def test_a_hold_of_another_caller_is_404(
    callers: dict[str, Caller], session: Session, method: str, action: str
) -> None:
    product_id = session.create_product(stock=2)
    hold_id = callers["web"].hold(product_id)
    url = f"/api/holds/{hold_id}{action}"
    before = session.call("get_hold", hold_id)
    assert_problem(callers["app"].ask(method, url), 404, "hold_not_found", 30201)
    assert callers["app"].ask(method, url).content == callers["app"].ask(method, f"/api/holds/{10**9}{action}").content
    assert session.call("get_hold", hold_id) == before
    assert callers["web, rotated"].ask(method, url).is_success


@pytest.mark.parametrize(("method", "action"), ORDER_CALLS)
def test_an_order_of_another_caller_is_404(
    callers: dict[str, Caller], session: Session, method: str, action: str
) -> None:
    order_id = callers["web"].order(session.create_product(stock=2))
    url = f"/api/orders/{order_id}{action}"
    before = session.call("get_order", order_id)
    assert_problem(callers["app"].ask(method, url), 404, "order_not_found", 30301)
    assert session.call("get_order", order_id) == before
    assert callers["web, rotated"].ask(method, url).is_success


def test_a_list_has_only_the_callers_own_orders(
    callers: dict[str, Caller], client: httpx.Client, session: Session
) -> None:
    """A service without API keys lists the orders of all callers."""
    product_id = session.create_product(stock=9)
    web, app = ([caller.order(product_id) for _ in range(2)] for caller in (callers["web"], callers["app"]))
    page = {"url": "/api/orders", "params": {"after": web[0] - 1}}

    def listed(answer: httpx.Response) -> list[int]:
        return [item["order_id"] for item in answer.json()["items"]]

    assert listed(callers["web"].ask("GET", **page)) == listed(callers["web, rotated"].ask("GET", **page)) == web
    assert listed(callers["app"].ask("GET", **page)) == app
    assert listed(client.request("GET", **page)) == [*web, *app]


def test_a_hold_of_another_caller_cannot_be_ordered(callers: dict[str, Caller], session: Session) -> None:
    hold_id = callers["web"].hold(session.create_product(stock=2))
    assert_problem(callers["app"].ask(**order_request(hold_id)), 404, "hold_not_found", 30201)
    assert session.status_of("hold", hold_id) == "active"
    ordered = callers["web, rotated"].ask(**order_request(hold_id))
    assert ordered.status_code == 201
    assert_problem(callers["app"].ask(**order_request(hold_id)), 404, "hold_not_found", 30201)
    again = callers["web"].ask(**order_request(hold_id))
    assert_problem(again, 409, "hold_already_used", 30203, order_id=ordered.json()["order_id"])


def test_an_order_of_another_caller_cannot_be_refunded(
    callers: dict[str, Caller], keyed: Service, session: Session
) -> None:
    order_id = callers["web"].order(session.create_product(stock=2))
    with keyed.client() as provider:
        provider.request(**payment_request("paid before a stranger asks", order_id))
    request = refund_request(order_id, key="refund of mine")
    assert_problem(callers["app"].ask(**request), 404, "order_not_found", 30301)
    refund = callers["web"].ask(**request)
    assert refund.status_code == 201
    assert callers["web, rotated"].ask(**request).json() == refund.json()
    (line,) = session.query("SELECT caller FROM refunded_lines WHERE order_id = %s", order_id)
    assert line["caller"] == "web"


def test_an_idempotency_key_of_another_caller_replays_nothing(callers: dict[str, Caller], session: Session) -> None:
    product_id = session.create_product(stock=9)
    hold, order = hold_request(product_id, key="mine"), order_request(callers["web"].hold(product_id), key="mine")
    first = [callers["web"].ask(**request) for request in (hold, order)]
    again = [callers["web, rotated"].ask(**request) for request in (hold, order)]
    assert [response.json() for response in again] == [response.json() for response in first]
    assert callers["app"].ask(**hold).json()["hold_id"] != first[0].json()["hold_id"]
    assert_problem(callers["app"].ask(**order), 404, "hold_not_found", 30201)


def test_a_maximum_per_customer_counts_the_holds_of_all_callers(callers: dict[str, Caller], session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.call("set_selling_rules", product_id, None, None, 1)
    request = hold_request(product_id, customer_id="ada")
    assert callers["web"].ask(**request).status_code == 201
    assert_problem(callers["app"].ask(**request), 409, "customer_limit_reached", 30105)


def test_a_webhook_finds_the_orders_of_every_caller(
    callers: dict[str, Caller], keyed: Service, session: Session
) -> None:
    """The payment provider does not know callers."""
    order_id = callers["web"].order(session.create_product(stock=2))
    with keyed.client() as provider:
        assert provider.request(**payment_request("of the provider", order_id)).json()["status"] == "paid"


def test_a_hold_that_was_made_without_api_keys_is_404_for_callers_with_one(
    callers: dict[str, Caller], client: httpx.Client, session: Session
) -> None:
    hold_id = client.request(**hold_request(session.create_product(stock=2))).json()["hold_id"]
    assert_problem(callers["web"].ask("GET", f"/api/holds/{hold_id}"), 404, "hold_not_found", 30201)
    assert client.get(f"/api/holds/{hold_id}").status_code == 200
