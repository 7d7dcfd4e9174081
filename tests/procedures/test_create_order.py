"""create_order: turn a hold into an order."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.support import Session


def test_an_order_is_pending_and_takes_no_further_stock(session: Session) -> None:
    product_id = session.create_product(stock=5, price="19.99")
    hold_id = session.create_hold(product_id, 3)
    (order,) = session.call("create_order", hold_id, None)
    assert list(order) == ["order_id", "hold_id", "status", "replayed"]
    assert (order["hold_id"], order["status"], order["replayed"]) == (hold_id, "pending", 0)
    assert session.call("get_order", order["order_id"])[0]["amount"] == Decimal("59.97")
    assert session.status_of("hold", hold_id) == "ordered"
    assert session.available(product_id) == 2


@pytest.mark.parametrize(("fraction", "rounded_up"), [("", 0), (".000001", 1), (".999999", 1)])
def test_payment_is_due_at_a_whole_second_rounded_up(session: Session, fraction: str, rounded_up: int) -> None:
    product_id = session.create_product(stock=1)
    session.stand_at(f"2000000000{fraction}")
    (order,) = session.call("get_order", session.create_order(product_id))
    assert order["payment_due_at"] == datetime(1970, 1, 1) + timedelta(seconds=2_000_000_900 + rounded_up)


def test_order_ids_count_up_by_one(session: Session) -> None:
    product_id = session.create_product(stock=10)
    orders = [session.create_order(product_id) for _ in range(4)]
    assert session.errno("create_order", 2**62, None) == 30201
    orders.append(session.create_order(product_id))
    assert orders == list(range(orders[0], orders[0] + 5))


def test_an_order_keeps_the_price_of_its_creation(session: Session) -> None:
    product_id = session.create_product(stock=2, price="10.00")
    order_id = session.create_order(product_id, 2)
    session.call("change_product", product_id, "Limited Edition Item", "99.00", None)
    assert session.call("get_order", order_id)[0]["amount"] == Decimal("20.00")


def test_a_hold_cannot_be_ordered_from_its_deadline_on(session: Session) -> None:
    product_id = session.create_product(stock=2)
    session.stand_at("2000000000")
    holds = [session.create_hold(product_id), session.create_hold(product_id)]
    session.stand_at("2000000119.999999")
    session.call("create_order", holds[0], None)
    session.stand_at("2000000120")
    assert session.errno("create_order", holds[1], None) == 30202
    assert session.status_of("hold", holds[1]) == "expired"
    session.call("expire_due", 1000)
    assert session.errno("create_order", holds[1], None) == 30202


def test_a_hold_can_be_ordered_once(session: Session) -> None:
    hold_id = session.create_hold(session.create_product(stock=1))
    session.call("create_order", hold_id, None)
    assert session.errno("create_order", hold_id, None) == 30203
    session.travel(500)
    assert session.errno("create_order", hold_id, None) == 30203


@pytest.mark.parametrize("later_price", ["0.00", "99.00"])
def test_the_amount_is_by_the_price_at_which_the_hold_was_made(session: Session, later_price: str) -> None:
    product_id = session.create_product(stock=5, price="19.99")
    hold_id = session.create_hold(product_id, 3)
    session.call("change_product", product_id, "Limited Edition Item", later_price, None)
    (order,) = session.call("create_order", hold_id, None)
    assert session.call("get_order", order["order_id"])[0]["amount"] == Decimal("59.97")
    assert session.call("get_hold", hold_id)[0]["unit_price"] == Decimal("19.99")


def test_a_released_hold_cannot_be_ordered(session: Session) -> None:
    hold_id = session.create_hold(session.create_product(stock=1))
    session.call("release_hold", hold_id)
    assert session.errno("create_order", hold_id, None) == 30204
    session.travel(500)
    assert session.errno("create_order", hold_id, None) == 30204


def test_a_replay_returns_the_first_answer(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id, 2)
    (first,) = session.call("create_order", hold_id, "order replay")
    session.call("apply_payment", "order replay", first["order_id"], "success")
    session.travel(1000)
    assert session.call("create_order", hold_id, "order replay") == [{**first, "replayed": 1}]
    assert session.status_of("order", first["order_id"]) == "paid"
    assert session.available(product_id) == 3


def test_a_key_cannot_be_used_for_another_hold(session: Session) -> None:
    product_id = session.create_product(stock=5)
    first, other = session.create_hold(product_id), session.create_hold(product_id)
    session.call("create_order", first, "order reused")
    assert session.errno("create_order", other, "order reused") == 30002
    assert session.errno("create_order", 2**62, "order reused") == 30002
    assert session.status_of("hold", other) == "active"


def test_a_hold_and_an_order_may_have_the_same_key(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (hold,) = session.call("create_hold", product_id, 1, "shared")
    assert session.call("create_order", hold["hold_id"], "shared")[0]["replayed"] == 0
    assert session.call("create_hold", product_id, 1, "shared")[0]["hold_id"] == hold["hold_id"]


def test_keys_are_compared_as_bytes(session: Session) -> None:
    product_id = session.create_product(stock=5)
    for key in ["abc", "ABC", "ábc", "abc "]:
        assert session.call("create_order", session.create_hold(product_id), key)[0]["replayed"] == 0


def test_a_rejection_is_not_recorded(session: Session) -> None:
    product_id = session.create_product(stock=1)
    session.stand_at("2000000000")
    hold_id = session.create_hold(product_id)
    session.stand_at("2000000120")
    assert session.errno("create_order", hold_id, "rejected order") == 30202
    assert session.call("create_order", session.create_hold(product_id), "rejected order")[0]["replayed"] == 0


@pytest.mark.parametrize(("event", "status", "left"), [("success", "paid", 3), ("failure", "cancelled", 5)])
def test_a_waiting_payment_settles_the_order_at_once(session: Session, event: str, status: str, left: int) -> None:
    product_id = session.create_product(stock=5)
    order_id = session.create_order(product_id) + 1
    session.call("cancel_order", order_id - 1)
    session.call("apply_payment", f"early {event}", order_id, event)
    hold_id = session.create_hold(product_id, 2)
    (order,) = session.call("create_order", hold_id, f"early {event}")
    assert order == {"order_id": order_id, "hold_id": hold_id, "status": status, "replayed": 0}
    assert session.call("create_order", hold_id, f"early {event}") == [{**order, "replayed": 1}]
    assert session.call("get_payment", f"early {event}")[0]["outcome"] == "applied"
    assert session.available(product_id) == left


def test_a_changed_setting_moves_no_existing_deadline(session: Session) -> None:
    product_id = session.create_product(stock=2)
    before = session.create_order(product_id)
    due_at = session.call("get_order", before)[0]["payment_due_at"]
    session.call("change_setting", "payment_ttl_s", 5)
    try:
        after = session.create_order(product_id)
        assert session.call("get_order", before)[0]["payment_due_at"] == due_at
        assert session.call("get_order", after)[0]["payment_due_at"] < due_at - timedelta(seconds=800)
    finally:
        session.call("change_setting", "payment_ttl_s", 900)
