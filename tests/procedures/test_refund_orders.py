"""refund_orders: refund a batch of paid orders, whole or by line and quantity."""

import json
from decimal import Decimal

from tests.support import Row, Session

PRICES = ("19.99", "0.01", "5.00")


def order_of_three(session: Session, customer: str | None = None) -> tuple[int, list[int], list[int]]:
    """A paid order of three units of each of three products; returns its id, its holds and its products."""
    products = [session.create_product(stock=4, price=price) for price in PRICES]
    requests = [{"product_id": product_id, "quantity": 3, "customer_id": customer} for product_id in products]
    holds = [row["hold_id"] for row in session.batch("create_holds", requests)]
    (order,) = session.batch("create_orders", [{"hold_ids": holds}])
    session.call("apply_payment", f"payment of {order['order_id']}", order["order_id"], "success")
    return order["order_id"], holds, products


def refund(order_id: int, lines: dict[int, int] | None = None, *, restock: bool = True, **members: object) -> Row:
    """A request; `lines` has the quantity by hold, None: all that is left."""
    request: Row = {"order_id": order_id, "restock": restock, **members}
    if lines is not None:
        request["lines"] = [{"hold_id": hold_id, "quantity": quantity} for hold_id, quantity in lines.items()]
    return request


def refunded_quantities(session: Session, order_id: int) -> list[int]:
    """The refunded units of each line of an order."""
    (order,) = session.call("get_order", order_id)
    return [line["refunded_quantity"] for line in json.loads(order["lines"])]


def test_an_order_is_refunded_by_line_and_quantity_until_nothing_is_left(session: Session) -> None:
    order_id, holds, products = order_of_three(session)
    rows, touched = session.call_all("refund_orders", json.dumps([refund(order_id, {holds[1]: 2, holds[0]: 1})]))
    assert list(rows[0]) == ["refund_id", "order_id", "amount", "status", "replayed", "errno"]
    expected = {"order_id": order_id, "amount": Decimal("20.01"), "status": "paid", "replayed": 0, "errno": None}
    assert expected.items() <= rows[0].items()
    assert {row["id"]: row["available_stock"] for row in touched} == {products[0]: 2, products[1]: 3}
    assert refunded_quantities(session, order_id) == [1, 2, 0]
    rest, last = session.batch("refund_orders", [refund(order_id, {holds[2]: 3}), refund(order_id)])
    assert [(row["amount"], row["status"]) for row in (rest, last)] == [
        (Decimal("15.00"), "paid"),
        (Decimal("39.99"), "refunded"),
    ]
    assert refunded_quantities(session, order_id) == [3, 3, 3]
    assert [session.available(product_id) for product_id in products] == [4, 4, 4]
    assert session.errnos("refund_orders", [refund(order_id, {holds[2]: 1}), refund(order_id)]) == [30305, 30305]
    (total,) = session.query("SELECT SUM(amount) AS amount FROM refunds WHERE order_id = %s", order_id)
    assert total["amount"] == session.call("get_order", order_id)[0]["amount"]


def test_a_refused_request_does_not_affect_the_others(session: Session) -> None:
    product_id = session.create_product(stock=9)
    pending = session.create_order(product_id)
    order_id, holds, products = order_of_three(session)
    other_id, others, _ = order_of_three(session)
    rows = session.batch(
        "refund_orders",
        [
            refund(pending),
            refund(10**8),
            refund(order_id, {holds[0]: 4}),
            refund(order_id, {holds[0]: 1, others[0]: 1}),
            refund(order_id, {holds[0]: 1, 10**8: 1}),
            {"order_id": order_id},
            refund(order_id, {holds[0]: 3}, idempotency_key="mixed refunds"),
            refund(other_id, idempotency_key="mixed refunds"),
            refund(order_id, {holds[0]: 1}),
            refund(other_id),
        ],
    )
    assert [row["errno"] for row in rows] == [30304, 30301, 30305, 30001, 30001, 30001, None, 30002, 30305, None]
    assert [row["refund_id"] is None for row in rows] == [row["errno"] is not None for row in rows]
    assert refunded_quantities(session, order_id) == [3, 0, 0]
    assert refunded_quantities(session, other_id) == [3, 3, 3]
    assert session.available(products[0]) == 4


def test_requests_for_one_order_take_effect_one_after_another(session: Session) -> None:
    order_id, holds, _ = order_of_three(session, "ada")
    requests = [refund(order_id, {holds[0]: quantity}) for quantity in (1, 3, 2, 1)] + [refund(order_id)] * 2
    rows = session.batch("refund_orders", requests)
    assert [row["errno"] for row in rows] == [None, 30305, None, 30305, None, 30305]
    assert [row["status"] for row in rows] == ["paid", None, "paid", None, "refunded", None]


def test_of_refunds_of_one_line_in_a_batch_the_one_of_the_last_unit_ends_the_order(session: Session) -> None:
    product_id = session.create_product(stock=3)
    order_id = session.create_paid_order(product_id, 3)
    hold_id = session.call("get_order", order_id)[0]["hold_id"]
    rows, touched = session.call_all("refund_orders", json.dumps([refund(order_id, {hold_id: 1})] * 5))
    assert [row["status"] for row in rows] == ["paid", "paid", "refunded", None, None]
    assert [row["errno"] for row in rows] == [None, None, None, 30305, 30305]
    assert [row["available_stock"] for row in touched] == [3]
    events = session.query(
        "SELECT refund_id, amount, status FROM events WHERE order_id = %s AND type = 'order.refunded' ORDER BY id",
        order_id,
    )
    assert events == [{name: row[name] for name in ("refund_id", "amount", "status")} for row in rows[:3]]


def test_under_a_key_the_lines_are_a_set_and_a_replay_returns_the_first_amount_and_status(session: Session) -> None:
    order_id, holds, _ = order_of_three(session)
    request = refund(order_id, {holds[0]: 1, holds[2]: 2}, idempotency_key="a set")
    first, again = session.batch("refund_orders", [request, {**request, "lines": request["lines"][::-1]}])
    assert again == {**first, "replayed": 1}
    session.batch("refund_orders", [refund(order_id)])
    assert session.batch("refund_orders", [request]) == [{**first, "replayed": 1}]
    assert (first["amount"], first["status"]) == (Decimal("29.99"), "paid")
    others = [
        refund(order_id, {holds[0]: 1, holds[2]: 1}, idempotency_key="a set"),
        refund(order_id, {holds[0]: 1}, idempotency_key="a set"),
        refund(order_id, idempotency_key="a set"),
        {**request, "restock": False},
    ]
    assert session.errnos("refund_orders", others) == [30002] * 4


def test_a_caller_refunds_only_its_own_orders_under_its_own_keys(session: Session) -> None:
    product_id = session.create_product(stock=9)
    holds = session.batch("create_holds", [{"product_id": product_id, "quantity": 1, "caller": "web"}] * 2)
    orders = session.batch("create_orders", [{"hold_id": row["hold_id"], "caller": "web"} for row in holds])
    first, second = (row["order_id"] for row in orders)
    for order_id in (first, second):
        session.call("apply_payment", f"payment of {order_id}", order_id, "success")
    requests = [
        refund(first, idempotency_key="own", caller="app"),
        refund(first, idempotency_key="own", caller="web"),
        refund(second, idempotency_key="own"),
        refund(second, idempotency_key="own", caller="web"),
    ]
    assert session.errnos("refund_orders", requests) == [30301, None, None, 30002]
    callers = session.query("SELECT caller FROM refunded_lines WHERE order_id IN (%s, %s)", first, second)
    assert [row["caller"] for row in callers] == ["web", ""]


def test_generated_keys_are_kept_ten_minutes_and_others_a_day(session: Session) -> None:
    order_id, holds, _ = order_of_three(session)
    session.stand_at("2000000000")
    requests = [
        refund(order_id, {holds[0]: 1}, idempotency_key="generated", is_generated_key=True),
        refund(order_id, {holds[0]: 1}, idempotency_key="a client's"),
    ]
    session.batch("refund_orders", requests)
    session.stand_at("2000000600")
    session.call("purge_history", 1000)
    assert [row["replayed"] for row in session.batch("refund_orders", requests)] == [0, 1]


def test_refunded_units_no_longer_count_for_their_customer(session: Session) -> None:
    order_id, holds, products = order_of_three(session, "ada")
    for product_id in products:
        session.call("set_selling_rules", product_id, None, None, 3)
    session.batch("refund_orders", [refund(order_id, {holds[0]: 2}), refund(order_id, {holds[1]: 3}, restock=False)])
    session.call("adjust_stock", products[1], 3, "restock", None)
    further = [
        {"product_id": product_id, "quantity": quantity, "customer_id": "ada"}
        for product_id, quantity in ((products[0], 3), (products[0], 2), (products[1], 3), (products[2], 1))
    ]
    assert session.errnos("create_holds", further) == [30105, None, None, 30105]


def test_one_batch_restocks_and_writes_off_units_of_the_same_product(session: Session) -> None:
    product_id = session.create_product(stock=10)
    orders = [session.create_paid_order(product_id, 2) for _ in range(4)]
    requests = [refund(order_id, restock=bool(number % 2)) for number, order_id in enumerate(orders)]
    rows, touched = session.call_all("refund_orders", json.dumps(requests))
    assert {row["errno"] for row in rows} == {None}
    assert [(row["id"], row["available_stock"]) for row in touched] == [(product_id, 6)]
    (levels,) = session.query("SELECT total_stock, sold FROM stock_levels WHERE product_id = %s", product_id)
    assert levels == {"total_stock": 6, "sold": 0}


def test_a_refunded_unit_is_sold_to_the_next_buyer(session: Session) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_paid_order(product_id, 2)
    hold_id = session.call("get_order", order_id)[0]["hold_id"]
    assert session.errno("create_hold", product_id, 1, None) == 30102
    session.batch("refund_orders", [refund(order_id, {hold_id: 1})])
    next_id = session.create_paid_order(product_id)
    assert session.errno("create_hold", product_id, 1, None) == 30102
    assert [session.status_of("order", each) for each in (order_id, next_id)] == ["paid", "paid"]
