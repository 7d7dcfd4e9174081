"""list_orders: pages of one caller's or one customer's orders, in the order of ids."""

import json
from typing import Any

import pytest

from tests.support import Session

CALLERS = ("", "web", "app")
CUSTOMERS = (None, "ada", "Ada")


@pytest.fixture(scope="module")
def order_ids() -> dict[tuple[str, str | None], list[int]]:
    """The ids of the orders that a test made, by caller and customer."""
    return {}


@pytest.fixture
def orders(session: Session, order_ids: dict[tuple[str, str | None], list[int]]) -> dict[Any, list[int]]:
    """Seven orders of one hold for each caller and customer, mixed; made once."""
    if not order_ids:
        product_id = session.create_product(stock=100)
        pairs = [(caller, customer) for _ in range(7) for caller in CALLERS for customer in CUSTOMERS]
        holds = [
            {"product_id": product_id, "quantity": 1, "caller": caller, "customer_id": customer}
            for caller, customer in pairs
        ]
        requests = [
            {"hold_id": row["hold_id"], "caller": caller}
            for row, (caller, _) in zip(session.batch("create_holds", holds), pairs, strict=True)
        ]
        for pair, row in zip(pairs, session.batch("create_orders", requests), strict=True):
            order_ids.setdefault(pair, []).append(row["order_id"])
    return order_ids


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("customer", CUSTOMERS)
def test_pages_list_each_matching_order_once_in_the_order_of_ids(
    session: Session, orders: dict[tuple[str, str | None], list[int]], caller: str, customer: str | None
) -> None:
    """An empty caller stands for all callers, and NULL for all customers."""
    expected = sorted(
        order_id
        for (of_caller, of_customer), order_ids in orders.items()
        for order_id in order_ids
        if caller in ("", of_caller) and customer in (None, of_customer)
    )
    after, found = expected[0] - 1, []
    while page := session.call("list_orders", caller, customer, after, 5):
        found += [row["order_id"] for row in page]
        after = found[-1]
        assert len(page) == 5 or len(found) == len(expected)
    assert found == expected


@pytest.mark.usefixtures("orders")
def test_an_unknown_caller_or_customer_has_no_orders(session: Session) -> None:
    for caller, customer in (("we", None), ("web ", None), ("WEB", None), ("", "ad"), ("", "ada "), ("web", "nobody")):
        assert session.call("list_orders", caller, customer, 0, 10) == [], (caller, customer)


def test_a_row_equals_that_of_get_order(session: Session) -> None:
    product_id, other = session.create_product(stock=5, price="0.10"), session.create_product(stock=5)
    holds = [session.create_hold(other, 2), session.create_hold(product_id)]
    (several,) = session.call("create_orders", json.dumps([{"hold_ids": holds}]))
    one = session.create_order(product_id, 3)
    page = session.call("list_orders", "", None, several["order_id"] - 1, 2)
    assert page == [session.call("get_order", order_id)[0] for order_id in (several["order_id"], one)]
