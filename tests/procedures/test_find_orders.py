"""find_orders: which orders holds became."""

from typing import Any

import pytest

from tests.support import Session


def hold_of(session: Session, product_id: int, caller: str) -> int:
    """A new hold that a caller made."""
    (row,) = session.batch("create_holds", [{"product_id": product_id, "quantity": 1, "caller": caller}])
    hold_id: int = row["hold_id"]
    return hold_id


def order_of(session: Session, hold_id: int) -> int:
    """Order a hold; returns the order's id."""
    order_id: int = session.call("create_order", hold_id, None)[0]["order_id"]
    return order_id


def test_a_row_for_each_hold_in_order_names_its_order(session: Session) -> None:
    product_id = session.create_product(stock=5)
    first, second, active = (session.create_hold(product_id) for _ in range(3))
    orders = [order_of(session, hold_id) for hold_id in (second, first)]
    rows = session.batch("find_orders", [first, active, second, first])
    assert rows == [
        {"order_id": orders[1], "errno": None},
        {"order_id": None, "errno": 30301},
        {"order_id": orders[0], "errno": None},
        {"order_id": orders[1], "errno": None},
    ]


@pytest.mark.parametrize("status", ["success", "failure"])
def test_an_order_is_found_whatever_became_of_it(session: Session, status: str) -> None:
    hold_id = session.create_hold(session.create_product(stock=5))
    order_id = order_of(session, hold_id)
    session.call("apply_payment", f"found after {status}", order_id, status)
    assert session.batch("find_orders", [hold_id]) == [{"order_id": order_id, "errno": None}]


def test_an_order_is_found_by_the_caller_of_its_hold_and_by_a_dba_and_by_nobody_else(session: Session) -> None:
    product_id = session.create_product(stock=5)
    own, nobodys = hold_of(session, product_id, "web"), hold_of(session, product_id, "")
    order_ids = [order_of(session, hold_id) for hold_id in (own, nobodys)]
    found = session.batch("find_orders", [[own, "web"], [own, ""], own, [nobodys, ""]])
    assert [row["order_id"] for row in found] == [order_ids[0]] * 3 + [order_ids[1]]
    strangers: list[Any] = [[own, "app"], [own, "Web"], [own, "web "], [nobodys, "web"], [own, None], [own, {"a": 1}]]
    assert session.errnos("find_orders", strangers) == [30301] * len(strangers)


@pytest.mark.parametrize("wrong", [True, "1", 1.2, None, {"id": 1}, 0, -1, 2**40, 2**64])
def test_an_element_that_is_no_hold_has_no_order(session: Session, wrong: Any) -> None:
    order_of(session, session.create_hold(session.create_product(stock=5)))
    assert session.batch("find_orders", [wrong]) == [{"order_id": None, "errno": 30301}]


def test_what_is_no_array_is_malformed(session: Session) -> None:
    assert session.errno("find_orders", "{}") == 30001
