"""Idempotency keys of one caller are nobody else's."""

import pytest

from tests.support import Session

CALLERS = ["", "web", "app", "x" * 64]


def hold(product_id: int, caller: str | None, quantity: int = 1) -> dict[str, object]:
    request: dict[str, object] = {"product_id": product_id, "quantity": quantity, "idempotency_key": f"of {product_id}"}
    return request if caller is None else {**request, "caller": caller}


def test_the_same_key_of_each_caller_is_a_hold_of_its_own(session: Session) -> None:
    product_id = session.create_product(stock=10)
    requests = [hold(product_id, caller) for caller in CALLERS]
    first = session.batch("create_holds", requests)
    assert len({row["hold_id"] for row in first}) == len(CALLERS)
    again = session.batch("create_holds", requests)
    assert [(row["hold_id"], row["replayed"]) for row in again] == [(row["hold_id"], 1) for row in first]
    assert session.available(product_id) == 10 - len(CALLERS)


def test_the_same_key_of_each_caller_is_an_order_of_its_own(session: Session) -> None:
    product_id = session.create_product(stock=10)
    requests = [
        {"hold_id": session.create_hold(product_id), "idempotency_key": "key", "caller": caller} for caller in CALLERS
    ]
    first = session.batch("create_orders", requests)
    assert len({row["order_id"] for row in first}) == len(CALLERS)
    again = session.batch("create_orders", requests)
    assert [(row["order_id"], row["replayed"]) for row in again] == [(row["order_id"], 1) for row in first]


def test_a_caller_reuses_only_its_own_key(session: Session) -> None:
    product_id = session.create_product(stock=10)
    requests = [hold(product_id, "web"), hold(product_id, "web", quantity=2), hold(product_id, "app", quantity=2)]
    assert session.errnos("create_holds", requests) == [None, 30002, None]


def test_no_caller_is_the_caller_without_a_name(session: Session) -> None:
    product_id = session.create_product(stock=10)
    (row,) = session.batch("create_holds", [hold(product_id, None)])
    (again,) = session.batch("create_holds", [hold(product_id, "")])
    (by_hand,) = session.call("create_hold", product_id, 1, f"of {product_id}")
    assert row["hold_id"] == again["hold_id"] == by_hand["hold_id"]


@pytest.mark.parametrize("caller", ["x" * 65, "é" * 33])
def test_a_caller_has_at_most_64_bytes(session: Session, caller: str) -> None:
    product_id = session.create_product(stock=10)
    assert session.errnos("create_holds", [hold(product_id, caller)]) == [30001]
    hold_id = session.create_hold(product_id)
    assert session.errnos("create_orders", [{"hold_id": hold_id, "caller": caller}]) == [30001]
