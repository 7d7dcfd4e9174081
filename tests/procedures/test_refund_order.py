"""refund_order: refund a whole paid order."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.support import Session


def test_the_units_of_a_restocked_refund_are_available_again(session: Session) -> None:
    product_id = session.create_product(stock=5, price="19.99")
    order_id = session.create_paid_order(product_id, 3)
    (row,) = session.call("refund_order", order_id, True, None)
    assert list(row) == ["refund_id", "order_id", "amount", "status", "replayed"]
    assert row == {
        "refund_id": row["refund_id"],
        "order_id": order_id,
        "amount": Decimal("59.97"),
        "status": "refunded",
        "replayed": 0,
    }
    assert session.available(product_id) == 5
    (order,) = session.call("get_order", order_id)
    assert (order["status"], order["amount"]) == ("refunded", Decimal("59.97"))
    assert [line["refunded_quantity"] for line in json.loads(order["lines"])] == [3]
    assert session.status_of("hold", order["hold_id"]) == "ordered"


def test_the_units_of_a_refund_without_restock_leave_the_total_as_an_adjustment(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (row,) = session.call("refund_order", session.create_paid_order(product_id, 3), False, None)
    (levels,) = session.query("SELECT * FROM stock_levels WHERE product_id = %s", product_id)
    assert (levels["total_stock"], levels["available_stock"], levels["sold"]) == (2, 2, 0)
    (adjustment,) = session.query(
        "SELECT quantity, reason, account FROM stock_adjustments WHERE product_id = %s ORDER BY id DESC LIMIT 1",
        product_id,
    )
    (register,) = session.query("SELECT account FROM refunds WHERE id = %s", row["refund_id"])
    assert adjustment == {"quantity": -3, "reason": f"refund {row['refund_id']} without restock", **register}


def test_only_a_paid_order_is_refunded_and_only_once(session: Session) -> None:
    product_id = session.create_product(stock=5)
    pending, cancelled, paid = (session.create_order(product_id) for _ in range(3))
    session.call("cancel_order", cancelled)
    session.call("apply_payment", "refunded once", paid, "success")
    assert session.errno("refund_order", pending, True, None) == 30304
    assert session.errno("refund_order", cancelled, True, None) == 30304
    session.call("refund_order", paid, True, None)
    assert session.errno("refund_order", paid, True, None) == 30305
    assert session.errno("refund_order", paid, False, None) == 30305
    assert session.errno("refund_order", 10**8, True, None) == 30301
    assert session.available(product_id) == 4


def test_the_same_key_returns_the_first_answer_and_another_request_under_it_is_refused(session: Session) -> None:
    product_id = session.create_product(stock=5)
    first, second = session.create_paid_order(product_id), session.create_paid_order(product_id)
    (row,) = session.call("refund_order", first, True, "one refund")
    assert session.call("refund_order", first, True, "one refund") == [{**row, "replayed": 1}]
    assert session.errno("refund_order", first, False, "one refund") == 30002
    assert session.errno("refund_order", second, True, "one refund") == 30002
    assert session.call("refund_order", second, True, "ONE REFUND")[0]["replayed"] == 0
    assert session.available(product_id) == 5


def test_a_refusal_is_not_recorded_under_its_key(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    assert session.errno("refund_order", order_id, True, "too early") == 30304
    session.call("apply_payment", "paid later", order_id, "success")
    assert session.call("refund_order", order_id, True, "too early")[0]["replayed"] == 0


@pytest.mark.parametrize(
    ("price", "quantity", "amount"),
    [("250000000.01", 300_001, "75000250003000.01"), ("9999999999.99", 1_000_000, "9999999999990000.00")],
)
def test_a_large_amount_is_exact(session: Session, price: str, quantity: int, amount: str) -> None:
    order_id = session.create_paid_order(session.create_product(stock=1_000_000, price=price), quantity)
    assert session.call("refund_order", order_id, True, None)[0]["amount"] == Decimal(amount)


def test_a_free_order_is_refunded_with_an_amount_of_zero(session: Session) -> None:
    product_id = session.create_product(stock=2, price="0.00")
    (row,) = session.call("refund_order", session.create_order(product_id, 2), True, None)
    assert (row["amount"], row["status"]) == (0, "refunded")
    assert session.available(product_id) == 2


def test_a_refunded_order_takes_further_events_like_a_paid_one_and_stays_refunded(session: Session) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_paid_order(product_id, 2)
    session.call("refund_order", order_id, True, None)
    for key, status, outcome in (("again", "success", "refund_due"), ("fails", "failure", "ignored")):
        (row,) = session.call("apply_payment", f"{key} {order_id}", order_id, status)
        assert (row["status"], row["outcome"]) == ("refunded", outcome)
    (due,) = session.query("SELECT reason, amount FROM refunds_due WHERE order_id = %s", order_id)
    assert due == {"reason": "paid_twice", "amount": Decimal("200.00")}
    assert session.errno("cancel_order", order_id) == 30302
    assert session.errno("start_payment", order_id) == 30302
    assert session.available(product_id) == 2


def test_a_refunded_order_stays_in_the_history_and_in_the_sales(session: Session) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_paid_order(product_id, 2)
    sales = "SELECT orders, quantity, amount FROM sales_per_minute WHERE product_id = %s"
    before = session.query(sales, product_id)
    session.call("refund_order", order_id, True, "long ago")
    assert session.query(sales, product_id) == before
    session.travel(400 * 86_400)
    session.call("purge_history", 10_000)
    assert session.status_of("order", order_id) == "refunded"
    assert session.errno("refund_order", order_id, True, "long ago") == 30305  # the key was purged
    (line,) = session.query("SELECT * FROM refunded_lines WHERE order_id = %s", order_id)
    assert line["idempotency_key"] == "long ago"


def test_the_register_keeps_what_was_refunded_when_by_whom_and_under_which_key(session: Session) -> None:
    product_id = session.create_product(stock=2, price="0.10")
    order_id = session.create_paid_order(product_id, 2)
    session.stand_at("2000000000")
    (row,) = session.call("refund_order", order_id, True, "registered")
    (user,) = session.query("SELECT USER() AS account")
    assert session.query("SELECT * FROM refunded_lines WHERE refund_id = %s", row["refund_id"]) == [
        {
            "refund_id": row["refund_id"],
            "refunded_at": datetime.fromtimestamp(2_000_000_000, UTC).replace(tzinfo=None),
            "order_id": order_id,
            "hold_id": session.call("get_order", order_id)[0]["hold_id"],
            "product_id": product_id,
            "quantity": 2,
            "amount": Decimal("0.20"),
            "is_restocked": 1,
            "account": user["account"],
            "caller": "",
            "idempotency_key": "registered",
        }
    ]


@pytest.mark.parametrize("restock", [None, 2, -1])
def test_the_caller_says_whether_the_units_are_restocked(session: Session, restock: int | None) -> None:
    order_id = session.create_paid_order(session.create_product(stock=1))
    assert session.errno("refund_order", order_id, restock, None) == 30001
    assert session.status_of("order", order_id) == "paid"
