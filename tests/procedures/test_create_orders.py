"""create_orders: turn a batch of holds into orders, as if they were made one after another."""

import json
from datetime import datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from tests.support import Row, Session


def order(hold_id: Any, key: Any = None, **members: Any) -> Row:
    """A request; without a key it carries none."""
    return {"hold_id": hold_id, **({} if key is None else {"idempotency_key": key}), **members}


def order_of(hold_ids: Any, key: Any = None, **members: Any) -> Row:
    """A request of several holds; without a key it carries none."""
    return {"hold_ids": hold_ids, **({} if key is None else {"idempotency_key": key}), **members}


def make_holds(session: Session, count: int, **members: Any) -> list[int]:
    """Holds of one unit each, of a product of their own."""
    product_id = session.create_product(stock=count)
    rows = session.batch("create_holds", [{"product_id": product_id, "quantity": 1, **members}] * count)
    assert {row["errno"] for row in rows} == {None}
    return [row["hold_id"] for row in rows]


def lines_of(session: Session, order_id: int) -> list[int]:
    """The holds of an order."""
    rows = session.query("SELECT hold_id FROM order_lines WHERE order_id = %s ORDER BY hold_id", order_id)
    return [row["hold_id"] for row in rows]


def test_rows_and_ids_come_in_the_order_of_the_requests(session: Session) -> None:
    product_id = session.create_product(stock=10)
    holds = [session.create_hold(product_id) for _ in range(5)][::-1]
    rows = session.batch("create_orders", [order(hold_id) for hold_id in holds])
    assert list(rows[0]) == ["order_id", "hold_id", "status", "replayed", "errno", "product_id", "quantity", "hold_ids"]
    assert [row["hold_id"] for row in rows] == holds
    ids = [row["order_id"] for row in rows]
    assert ids == list(range(ids[0], ids[0] + 5))
    assert {row["status"] for row in rows} == {"pending"}


def test_errors_hit_only_their_own_request(session: Session) -> None:
    product_id = session.create_product(stock=10)
    session.stand_at("2000000000")
    due, released, used = (session.create_hold(product_id) for _ in range(3))
    session.call("release_hold", released)
    session.call("create_order", used, "mixed orders")
    session.stand_at("2000000120")
    fresh = session.create_hold(product_id)
    rows = session.batch(
        "create_orders",
        [
            order(due),
            order(released),
            order(used),
            order(2**62),
            order("x"),
            order(fresh, "mixed orders"),
            order(used, "mixed orders"),
            order(fresh),
        ],
    )
    assert [row["errno"] for row in rows] == [30202, 30204, 30203, 30201, 30001, 30002, None, None]
    assert [row["replayed"] for row in rows] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert [row["hold_id"] for row in rows] == [None] * 6 + [used, fresh]
    assert rows[2]["order_id"] == rows[6]["order_id"], "hold_already_used does not name the order"


def test_a_hold_or_a_key_twice_in_a_batch_is_one_order(session: Session) -> None:
    product_id = session.create_product(stock=10)
    first, second, third = (session.create_hold(product_id) for _ in range(3))
    rows = session.batch(
        "create_orders",
        [
            order(first, "one"),
            order(first, "one"),
            order(first, "two"),
            order(second, "one"),
            order(second, "two"),
            order(third),
            order(third),
        ],
    )
    assert [row["errno"] for row in rows] == [None, None, 30203, 30002, None, None, 30203]
    assert rows[1] == {**rows[0], "replayed": 1}


def test_a_replayed_batch_gives_the_first_answers(session: Session) -> None:
    product_id = session.create_product(stock=300)
    requests = [order(session.create_hold(product_id), f"order {number}") for number in range(100)]
    first = session.batch("create_orders", requests[:50])
    rows = session.batch("create_orders", requests)
    assert rows[:50] == [{**row, "replayed": 1} for row in first]
    assert {row["replayed"] for row in rows[50:]} == {0}


def test_waiting_payments_settle_their_orders_and_the_stock_is_reported(session: Session) -> None:
    product_id = session.create_product(stock=10)
    last = session.create_order(product_id)
    for offset, status in ((1, "success"), (2, "failure"), (3, "failure")):
        session.call("apply_payment", f"early {offset}", last + offset, status)
    holds = [session.create_hold(product_id) for _ in range(4)]
    requests = ",".join(f'{{"hold_id":{hold_id}}}' for hold_id in holds)
    rows, touched = session.call_all("create_orders", f"[{requests}]")
    assert [row["status"] for row in rows] == ["paid", "cancelled", "cancelled", "pending"]
    assert [(row["id"], row["available_stock"]) for row in touched] == [(product_id, 7)]


def test_several_holds_become_one_order_whose_amount_is_the_sum_of_its_lines(session: Session) -> None:
    products = [session.create_product(stock=9, price=price) for price in ("19.99", "0.01", "5.00")]
    holds = [
        session.create_hold(product_id, quantity) for product_id, quantity in zip(products, (3, 2, 1), strict=True)
    ]
    (row,) = session.batch("create_orders", [order_of(holds[::-1])])
    assert (row["errno"], row["status"]) == (None, "pending")
    assert (row["hold_id"], row["product_id"], row["quantity"]) == (None, None, None)
    assert json.loads(row["hold_ids"]) == holds
    (read,) = session.call("get_order", row["order_id"])
    assert (read["hold_id"], read["product_id"], read["quantity"]) == (None, None, None)
    assert read["amount"] == Decimal("64.99")
    assert json.loads(read["lines"]) == [
        {"hold_id": hold, "product_id": product, "quantity": quantity, "unit_price": price, "refunded_quantity": 0}
        for hold, product, quantity, price in zip(holds, products, (3, 2, 1), ("19.99", "0.01", "5.00"), strict=True)
    ]
    assert {session.call("get_hold", hold)[0]["order_id"] for hold in holds} == {row["order_id"]}
    assert [session.available(product_id) for product_id in products] == [6, 7, 8]


def test_an_order_takes_fifty_holds_and_a_batch_a_thousand_orders(session: Session) -> None:
    holds = [hold for _ in range(50) for hold in make_holds(session, 1000)]
    requests = [order_of(holds[number::1000]) for number in range(1000)]
    assert {row["errno"] for row in session.batch("create_orders", requests)} == {None}
    (row,) = session.query("SELECT COUNT(*) AS number FROM order_lines WHERE hold_id >= %s", holds[0])
    assert row["number"] == 50_000
    assert session.errnos("create_orders", [order_of(make_holds(session, 51))]) == [30001]


def test_one_hold_that_refuses_refuses_the_whole_order_and_is_named(session: Session) -> None:
    session.stand_at("2000000000")
    due, released, used, extended = make_holds(session, 4)
    session.call("release_hold", released)
    session.call("create_order", used, None)
    session.call("extend_hold", extended)
    session.stand_at("2000000120")
    fresh = make_holds(session, 2)
    for refusing, errno in ((due, 30202), (released, 30204), (used, 30203), (2**62, 30201)):
        (row,) = session.batch("create_orders", [order_of([fresh[0], refusing, fresh[1], extended])])
        assert (row["errno"], row["hold_id"]) == (errno, refusing)
    assert {session.status_of("hold", hold) for hold in (*fresh, extended)} == {"active"}


def test_the_first_refusal_in_array_order_is_the_verdict(session: Session) -> None:
    released, used, fresh = make_holds(session, 3)
    session.call("release_hold", released)
    (order_of_used,) = session.call("create_order", used, None)
    for holds, errno in (([fresh, used, released], 30203), ([released, 2**62, used], 30204), ([2**62, used], 30201)):
        (row,) = session.batch("create_orders", [order_of(holds)])
        refusing = next(hold for hold in holds if hold != fresh)
        assert (row["errno"], row["hold_id"]) == (errno, refusing)
        assert row["order_id"] == (order_of_used["order_id"] if errno == 30203 else None)


@pytest.mark.parametrize(
    "wrong",
    [[], "x", 7, {}, {"0": 1}, True, [None], ["1"], [True], [1.5], [[1]], [{}], [0], [-1], [2**63], [2**64]],
)
def test_a_list_of_holds_that_is_none_is_malformed(session: Session, wrong: Any) -> None:
    (hold_id,) = make_holds(session, 1)
    session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() + INTERVAL 1 DAY WHERE id = 1")
    listed = [hold_id, *wrong] if isinstance(wrong, list) and wrong else wrong
    assert session.errnos("create_orders", [order_of(wrong), order_of(listed), order(hold_id)]) == [30001, 30001, None]


def test_a_hold_that_is_listed_twice_is_malformed(session: Session) -> None:
    first, second = make_holds(session, 2)
    assert session.errnos("create_orders", [order_of([first, second, first]), order_of([second, first])]) == [
        30001,
        None,
    ]


def test_a_request_names_either_one_hold_or_a_list(session: Session) -> None:
    first, second = make_holds(session, 2)
    requests = [{"hold_id": first, "hold_ids": [second]}, {"hold_id": None, "hold_ids": None}, {}]
    assert session.errnos("create_orders", requests) == [30001] * 3
    requests = [{"hold_id": None, "hold_ids": [first]}, {"hold_id": second, "hold_ids": None}]
    assert session.errnos("create_orders", requests) == [None, None]


def test_under_a_key_the_holds_are_a_set(session: Session) -> None:
    first, second, third = make_holds(session, 3)
    (made,) = session.batch("create_orders", [order_of([second, first], "set")])
    assert session.batch("create_orders", [order_of([first, second], "set")]) == [{**made, "replayed": 1}]
    others = [order_of([first], "set"), order_of([first, second, third], "set"), order(first, "set")]
    assert session.errnos("create_orders", others) == [30002] * 3


@pytest.mark.parametrize("group_concat_max_len", [4, 1024])
def test_the_set_under_a_key_does_not_depend_on_the_session(session: Session, group_concat_max_len: int) -> None:
    holds = make_holds(session, 4)
    session.execute("SET group_concat_max_len = %s", group_concat_max_len)
    key = f"set {group_concat_max_len}"
    (made,) = session.batch("create_orders", [order_of(holds[:3], key)])
    assert json.loads(made["hold_ids"]) == holds[:3]
    assert session.errnos("create_orders", [order_of([*holds[:2], holds[3]], key)]) == [30002]
    assert session.batch("create_orders", [order_of(holds[2::-1], key)]) == [{**made, "replayed": 1}]


def test_a_list_of_one_hold_equals_that_hold_and_a_replay_has_the_form_of_the_first_request(session: Session) -> None:
    first, second = make_holds(session, 2)
    listed, plain = session.batch("create_orders", [order_of([first], "listed"), order(second, "plain")])
    assert (listed["hold_id"], json.loads(listed["hold_ids"])) == (None, [first])
    assert (plain["hold_id"], plain["hold_ids"]) == (second, None)
    again = session.batch("create_orders", [order(first, "listed"), order_of([second], "plain")])
    assert again == [{**listed, "replayed": 1}, {**plain, "replayed": 1}]


def test_of_orders_that_share_a_hold_the_first_in_array_order_wins(session: Session) -> None:
    for places in permutations(range(3)):
        holds = make_holds(session, 3)
        first, second, third = (holds[place] for place in places)
        rows = session.batch("create_orders", [order_of([first, second]), order_of([third, second]), order(third)])
        assert [row["errno"] for row in rows] == [None, 30203, None]
        assert rows[1]["hold_id"] == second
        assert rows[1]["order_id"] == rows[0]["order_id"]


def test_a_hold_that_an_earlier_request_takes_refuses_before_a_later_one_that_was_used_before(session: Session) -> None:
    taken, used = make_holds(session, 2)
    session.call("create_order", used, None)
    first, second = session.batch("create_orders", [order(taken), order_of([taken, used])])
    assert (second["errno"], second["hold_id"], second["order_id"]) == (30203, taken, first["order_id"])


def test_an_order_that_is_refused_leaves_its_other_holds_to_later_ones(session: Session) -> None:
    first, second, third = make_holds(session, 3)
    session.call("release_hold", third)
    rows = session.batch("create_orders", [order_of([first, third]), order_of([second, first])])
    assert [row["errno"] for row in rows] == [30204, None]


def test_holds_of_several_callers_are_malformed_and_those_of_others_not_found(session: Session) -> None:
    (nobodys,), (web,), (app,) = (make_holds(session, 1, caller=caller) for caller in ("", "web", "app"))
    assert session.errnos("create_orders", [order_of([nobodys, web]), order_of([web, app])]) == [30001, 30001]
    (row,) = session.batch("create_orders", [order_of([web, app], caller="web")])
    assert (row["errno"], row["hold_id"]) == (30201, app)
    (row,) = session.batch("create_orders", [order_of([web])])
    assert session.query("SELECT caller FROM orders WHERE id = %s", row["order_id"]) == [{"caller": b"web"}]


def test_holds_for_several_customers_are_malformed_and_those_for_nobody_fit_any(session: Session) -> None:
    (adas,), (bobs,), others = (
        make_holds(session, count, **member)
        for count, member in ((1, {"customer_id": "ada"}), (1, {"customer_id": "bob"}), (2, {}))
    )
    assert session.errnos("create_orders", [order_of([others[0], adas, bobs])]) == [30001]
    rows = session.batch("create_orders", [order_of([others[0], adas, others[1]]), order_of([bobs])])
    customers = [
        session.query("SELECT customer_id FROM orders WHERE id = %s", row["order_id"])[0]["customer_id"] for row in rows
    ]
    assert customers == [b"ada", b"bob"]


def test_a_waiting_failure_returns_the_stock_of_every_hold(session: Session) -> None:
    products = [session.create_product(stock=5) for _ in range(2)]
    holds = [session.create_hold(product_id, 2) for product_id in products]
    session.call("apply_payment", "early failure of several", session.next_id("orders"), "failure")
    rows, touched = session.call_all("create_orders", json.dumps([order_of(holds)]))
    assert rows[0]["status"] == "cancelled"
    assert {row["id"]: row["available_stock"] for row in touched} == dict.fromkeys(products, 5)


def test_an_order_that_costs_nothing_is_paid_at_once(session: Session) -> None:
    free = [session.create_product(stock=5, price="0.00") for _ in range(2)]
    cheap = session.create_product(stock=5, price="0.01")
    session.stand_at("2000000000")
    holds = [session.create_hold(product_id, 2) for product_id in (*free, free[0], cheap)]
    requests = [order(holds[0], "free"), order_of([holds[1], holds[3]]), order_of([holds[2]])]
    rows = session.batch("create_orders", requests)
    assert [row["status"] for row in rows] == ["paid", "pending", "paid"]
    assert session.batch("create_orders", requests[:1]) == [{**rows[0], "replayed": 1}]
    assert session.errno("cancel_order", rows[0]["order_id"]) == 30302
    session.stand_at("2000009999")
    session.call("expire_due", 100_000)
    assert [session.available(product_id) for product_id in (*free, cheap)] == [1, 5, 5]
    sold = session.query("SELECT * FROM sales_per_minute WHERE product_id = %s", free[0])
    assert [(row["minute"], row["orders"], row["quantity"], row["amount"]) for row in sold] == [
        (datetime(2033, 5, 18, 3, 33), 2, 4, 0)
    ]


@pytest.mark.parametrize(
    ("status", "amount", "outcome"),
    [("success", None, "ignored"), ("failure", None, "ignored"), ("success", "0.01", "refund_due")],
)
def test_an_event_that_waited_for_a_free_order_changes_nothing(
    session: Session, status: str, amount: str | None, outcome: str
) -> None:
    hold_id = session.create_hold(session.create_product(stock=5, price="0.00"))
    key = f"{status} of {amount}"
    event = {"idempotency_key": key, "order_id": session.next_id("orders"), "status": status, "amount": amount}
    session.batch("apply_payments", [event])
    assert session.batch("create_orders", [order(hold_id)])[0]["status"] == "paid"
    assert session.call("get_payment", key)[0]["outcome"] == outcome
