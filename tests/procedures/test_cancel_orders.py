"""cancel_orders: cancel pending orders and return their units."""

import json

from tests.support import Session


def test_a_refused_element_does_not_affect_the_others(session: Session) -> None:
    product_id = session.create_product(stock=9)
    pending, cancelled, paid = (session.create_order(product_id) for _ in range(3))
    session.call("cancel_order", cancelled)
    session.call("apply_payment", "paid in batch", paid, "success")
    rows, touched = session.call_all("cancel_orders", json.dumps([paid, pending, cancelled, 10**8, "x", pending]))
    assert list(rows[0]) == ["order_id", "hold_id", "status", "replayed", "errno", "hold_ids"]
    assert [row["errno"] for row in rows] == [30302, None, None, 30301, 30001, None]
    assert [row["replayed"] for row in rows] == [0, 0, 1, 0, 0, 1]
    assert [row["order_id"] for row in rows] == [None, pending, cancelled, None, None, pending]
    assert [(row["id"], row["available_stock"]) for row in touched] == [(product_id, 8)]


def test_units_of_several_products_return_to_their_own_product(session: Session) -> None:
    products = [session.create_product(stock=5) for _ in range(3)]
    orders = [session.create_order(product_id, 2) for product_id in products for _ in range(2)]
    _, touched = session.call_all("cancel_orders", json.dumps(orders[::-1]))
    assert {row["id"]: row["available_stock"] for row in touched} == dict.fromkeys(products, 5)
