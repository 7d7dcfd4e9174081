"""reduce_holds: reduce the quantity of a batch of active holds."""

import json

from tests.support import Session


def test_a_refused_request_does_not_affect_the_others(session: Session) -> None:
    product_id = session.create_product(stock=20)
    session.stand_at("2000000000")
    due, used, released = (session.create_hold(product_id, 2) for _ in range(3))
    order_id = session.call("create_order", used, None)[0]["order_id"]
    session.call("release_hold", released)
    session.stand_at("2000000120")
    active = session.create_hold(product_id, 3)
    requests = [
        *([due, "", 1], [used, "", 1], [released, "", 1], [10**8, "", 1], "x", [active, "", 0]),
        *([active, "", 4], [active, "", 1], [active, "", 1]),
    ]
    rows, touched = session.call_all("reduce_holds", json.dumps(requests))
    assert list(rows[0]) == ["hold_id", "quantity", "expires_at", "replayed", "errno", "order_id"]
    errnos = [30202, 30203, 30204, 30201, 30001, 30001, 30103, None, None]
    assert [row["errno"] for row in rows] == errnos
    assert [row["order_id"] for row in rows] == [None, order_id, *[None] * 7]
    assert [(row["hold_id"], row["quantity"], row["replayed"]) for row in rows[-2:]] == [(active, 1, 0), (active, 1, 1)]
    assert [(row["id"], row["available_stock"]) for row in touched] == [(product_id, 15)]


def test_requests_for_one_hold_take_effect_one_after_another(session: Session) -> None:
    product_id = session.create_product(stock=9)
    hold_id = session.create_hold(product_id, 9)
    rows = session.batch("reduce_holds", [[hold_id, "", quantity] for quantity in (9, 5, 7, 5, 2, 5)])
    assert [row["errno"] for row in rows] == [None, None, 30103, None, None, 30103]
    assert [row["replayed"] for row in rows] == [1, 0, 0, 1, 0, 0]
    assert session.call("get_hold", hold_id)[0]["quantity"] == 2
    assert session.available(product_id) == 7


def test_a_stranger_does_not_affect_the_holds_caller(session: Session) -> None:
    product_id = session.create_product(stock=9)
    (row,) = session.batch("create_holds", [{"product_id": product_id, "quantity": 5, "caller": "web"}])
    requests = [[row["hold_id"], "app", 1], [row["hold_id"], "web", 4], [row["hold_id"], "", 3]]
    assert session.errnos("reduce_holds", requests) == [30201, None, None]
    assert session.available(product_id) == 6


def test_units_of_several_products_return_to_their_own_product(session: Session) -> None:
    products = [session.create_product(stock=5) for _ in range(3)]
    holds = [session.create_hold(product_id, 5) for product_id in products]
    _, touched = session.call_all("reduce_holds", json.dumps([[hold_id, "", 1] for hold_id in holds[::-1]]))
    assert {row["id"]: row["available_stock"] for row in touched} == dict.fromkeys(products, 4)
