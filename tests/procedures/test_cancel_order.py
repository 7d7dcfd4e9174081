"""cancel_order: cancel a pending order and return its units."""

from tests.support import Session


def test_a_pending_order_is_cancelled_and_its_units_return(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id, 3)
    (order,) = session.call("create_order", hold_id, None)
    (row,) = session.call("cancel_order", order["order_id"])
    assert list(row) == ["order_id", "hold_id", "status", "replayed"]
    assert row == {"order_id": order["order_id"], "hold_id": hold_id, "status": "cancelled", "replayed": 0}
    assert session.available(product_id) == 5


def test_a_second_cancellation_returns_no_units(session: Session) -> None:
    product_id = session.create_product(stock=5)
    order_id = session.create_order(product_id, 2)
    (first,) = session.call("cancel_order", order_id)
    assert session.call("cancel_order", order_id) == [{**first, "replayed": 1}]
    assert session.available(product_id) == 5


def test_the_hold_of_a_cancelled_order_cannot_be_ordered_again(session: Session) -> None:
    hold_id = session.create_hold(session.create_product(stock=1))
    (order,) = session.call("create_order", hold_id, None)
    session.call("cancel_order", order["order_id"])
    assert session.errno("create_order", hold_id, None) == 30203


def test_a_paid_order_cannot_be_cancelled(session: Session) -> None:
    product_id = session.create_product(stock=5)
    order_id = session.create_order(product_id)
    session.call("apply_payment", "paid before cancel", order_id, "success")
    assert session.errno("cancel_order", order_id) == 30302
    assert session.available(product_id) == 4


def test_an_overdue_order_can_be_cancelled(session: Session) -> None:
    product_id = session.create_product(stock=5)
    order_id = session.create_order(product_id)
    session.travel(2000)
    assert session.call("cancel_order", order_id)[0]["replayed"] == 0
    session.call("expire_due", 1000)
    assert session.available(product_id) == 5
