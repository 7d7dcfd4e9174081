"""Idempotency keys, holds and orders belong to the caller that made them."""

import pytest

from tests.support import Session

CALLERS = ["", "web", "app", "x" * 64]


def hold(product_id: int, caller: str | None, quantity: int = 1) -> dict[str, object]:
    request: dict[str, object] = {"product_id": product_id, "quantity": quantity, "idempotency_key": f"of {product_id}"}
    return request if caller is None else {**request, "caller": caller}


def hold_of(session: Session, product_id: int, caller: str) -> int:
    """Create a hold as a caller; returns its id."""
    (row,) = session.batch("create_holds", [{"product_id": product_id, "quantity": 1, "caller": caller}])
    hold_id: int = row["hold_id"]
    return hold_id


def test_the_same_key_of_two_callers_makes_two_holds(session: Session) -> None:
    product_id = session.create_product(stock=10)
    requests = [hold(product_id, caller) for caller in CALLERS]
    first = session.batch("create_holds", requests)
    assert len({row["hold_id"] for row in first}) == len(CALLERS)
    again = session.batch("create_holds", requests)
    assert [(row["hold_id"], row["replayed"]) for row in again] == [(row["hold_id"], 1) for row in first]
    assert session.available(product_id) == 10 - len(CALLERS)


def test_the_same_key_of_two_callers_makes_two_orders(session: Session) -> None:
    product_id = session.create_product(stock=10)
    requests = [
        {"hold_id": hold_of(session, product_id, caller), "idempotency_key": "key", "caller": caller}
        for caller in CALLERS
    ]
    first = session.batch("create_orders", requests)
    assert len({row["order_id"] for row in first}) == len(CALLERS)
    again = session.batch("create_orders", requests)
    assert [(row["order_id"], row["replayed"]) for row in again] == [(row["order_id"], 1) for row in first]


def test_a_key_is_reused_only_by_its_own_caller(session: Session) -> None:
    product_id = session.create_product(stock=10)
    requests = [hold(product_id, "web"), hold(product_id, "web", quantity=2), hold(product_id, "app", quantity=2)]
    assert session.errnos("create_holds", requests) == [None, 30002, None]


def test_a_missing_caller_is_the_caller_without_a_name(session: Session) -> None:
    product_id = session.create_product(stock=10)
    (row,) = session.batch("create_holds", [hold(product_id, None)])
    (again,) = session.batch("create_holds", [hold(product_id, "")])
    (by_hand,) = session.call("create_hold", product_id, 1, f"of {product_id}")
    assert row["hold_id"] == again["hold_id"] == by_hand["hold_id"]


@pytest.mark.parametrize("procedure", ["get_holds", "extend_holds", "release_holds"])
def test_a_hold_is_found_only_by_its_caller_and_by_a_dba(session: Session, procedure: str) -> None:
    product_id = session.create_product(stock=10)
    own, nobodys = hold_of(session, product_id, "web"), hold_of(session, product_id, "")
    strangers = [[own, "app"], [own, "Web"], [own, "web "], [own, "we"], [nobodys, "web"]]
    assert session.errnos(procedure, strangers) == [30201] * len(strangers)
    assert session.available(product_id) == 8
    assert {session.status_of("hold", hold_id) for hold_id in (own, nobodys)} == {"active"}
    assert (
        session.errnos(procedure, [[own, "app"], [own, "web"], [own, ""], own, [nobodys, ""]]) == [30201] + [None] * 4
    )


@pytest.mark.parametrize("procedure", ["get_orders", "start_payments", "cancel_orders"])
def test_an_order_is_found_only_by_its_caller_and_by_a_dba(session: Session, procedure: str) -> None:
    product_id = session.create_product(stock=10)
    holds = [
        {"hold_id": hold_of(session, product_id, "web"), "caller": "web"},
        {"hold_id": hold_of(session, product_id, "")},
    ]
    own, nobodys = (row["order_id"] for row in session.batch("create_orders", holds))
    strangers = [[own, "app"], [own, "Web"], [own, "web "], [own, "we"], [nobodys, "web"]]
    assert session.errnos(procedure, strangers) == [30301] * len(strangers)
    assert {session.status_of("order", order_id) for order_id in (own, nobodys)} == {"pending"}
    assert (
        session.errnos(procedure, [[own, "app"], [own, "web"], [own, ""], own, [nobodys, ""]]) == [30301] + [None] * 4
    )


def test_a_hold_can_be_ordered_only_by_its_caller_and_by_a_dba(session: Session) -> None:
    product_id = session.create_product(stock=10)
    first, second = hold_of(session, product_id, "web"), hold_of(session, product_id, "web")
    requests = [{"hold_id": first, "caller": "app"}, {"hold_id": first, "caller": "web"}, {"hold_id": second}]
    assert session.errnos("create_orders", requests) == [30201, None, None]
    assert session.errnos("create_orders", [{"hold_id": first, "caller": "app"}]) == [30201]


@pytest.mark.parametrize("procedure", ["get_holds", "extend_holds", "release_holds", "get_orders", "start_payments"])
@pytest.mark.parametrize("caller", [None, {"name": "web"}, ["web"], "x" * 2000])
def test_an_invalid_caller_finds_nothing(session: Session, procedure: str, caller: object) -> None:
    """Only an id without a caller, or with an empty one, finds the rows of all callers."""
    product_id = session.create_product(stock=10)
    kind = "hold" if "hold" in procedure else "order"
    row_id = session.create_hold(product_id) if kind == "hold" else session.create_order(product_id)
    assert session.errnos(procedure, [[row_id, caller]])[0] in (30001, 30201, 30301)
