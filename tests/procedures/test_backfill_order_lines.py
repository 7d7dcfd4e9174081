"""backfill_order_lines: lines of orders that release 0.9 made."""

import json
from decimal import Decimal

from tests.procedures.test_backfill_orders import make_orders_of_release_0_9
from tests.support import Session


def test_an_order_without_lines_gets_the_one_of_its_hold(session: Session) -> None:
    product_id = session.create_product(stock=9, price="19.99")
    (order_id,) = make_orders_of_release_0_9(session, [{"product_id": product_id, "quantity": 3}])
    session.call_all("backfill_order_lines")
    (order,) = session.call("get_order", order_id)
    assert json.loads(order["lines"]) == [
        {
            "hold_id": order["hold_id"],
            "product_id": product_id,
            "quantity": 3,
            "unit_price": "19.99",
            "refunded_quantity": 0,
        }
    ]


def test_the_price_of_a_line_has_the_digits_of_the_amount(session: Session) -> None:
    product_id = session.create_product(stock=1_000_000, price="9999999999.99")
    (order_id,) = make_orders_of_release_0_9(session, [{"product_id": product_id, "quantity": 1_000_000}])
    session.call_all("backfill_order_lines")
    (line,) = session.query("SELECT unit_price FROM order_lines WHERE order_id = %s", order_id)
    assert line["unit_price"] == Decimal("9999999999.99")


def test_more_orders_than_one_transaction_takes_get_lines(session: Session) -> None:
    product_id = session.create_product(stock=3000)
    for _ in range(3):
        make_orders_of_release_0_9(session, [{"product_id": product_id, "quantity": 1}] * 1000)
    session.call_all("backfill_order_lines")
    (row,) = session.query("SELECT COUNT(*) AS number FROM order_lines WHERE product_id = %s", product_id)
    assert row["number"] == 3000
    assert session.call("check_stock") == []


def test_lines_that_are_there_stay_as_they_are(session: Session) -> None:
    product_id = session.create_product(stock=9)
    first, second = make_orders_of_release_0_9(session, [{"product_id": product_id, "quantity": 2}] * 2)
    session.call_all("backfill_order_lines")
    session.execute("UPDATE order_lines SET refunded_quantity = 1 WHERE order_id = %s", first)
    session.execute("DELETE FROM order_lines WHERE order_id = %s", second)
    session.call_all("backfill_order_lines")
    rows = session.query("SELECT refunded_quantity FROM order_lines WHERE order_id IN (%s, %s)", first, second)
    assert [row["refunded_quantity"] for row in rows] == [1, 0]


def test_it_is_refused_inside_a_transaction(session: Session) -> None:
    session.execute("START TRANSACTION")
    assert session.errno("backfill_order_lines") == 30003
