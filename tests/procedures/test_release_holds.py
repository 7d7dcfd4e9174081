"""release_holds: release active holds before their deadline."""

import json

from tests.support import Session


def test_a_refused_element_does_not_affect_the_others(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.stand_at("2000000000")
    due, used, released = (session.create_hold(product_id) for _ in range(3))
    order_id = session.call("create_order", used, None)[0]["order_id"]
    session.call("release_hold", released)
    session.stand_at("2000000120")
    active = session.create_hold(product_id)
    elements = [due, used, active, released, 10**8, "x", active]
    rows, touched = session.call_all("release_holds", json.dumps(elements))
    assert list(rows[0]) == ["hold_id", "replayed", "errno", "order_id"]
    assert [row["errno"] for row in rows] == [30202, 30203, None, None, 30201, 30001, None]
    assert [row["replayed"] for row in rows] == [0, 0, 0, 1, 0, 0, 1]
    assert [row["order_id"] for row in rows] == [None, order_id, None, None, None, None, None]
    assert [(row["id"], row["available_stock"]) for row in touched] == [(product_id, 7)]


def test_units_of_several_products_return_to_their_own_product(session: Session) -> None:
    products = [session.create_product(stock=5) for _ in range(3)]
    holds = [session.create_hold(product_id, 2) for product_id in products for _ in range(2)]
    _, touched = session.call_all("release_holds", json.dumps(holds[::-1]))
    assert {row["id"]: row["available_stock"] for row in touched} == dict.fromkeys(products, 5)
