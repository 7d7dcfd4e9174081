"""create_orders: turn a batch of holds into orders, as if they were made one after another."""

from typing import Any

from tests.support import Row, Session


def order(hold_id: Any, key: Any = None, **members: Any) -> Row:
    """A request; without a key it carries none."""
    return {"hold_id": hold_id, **({} if key is None else {"idempotency_key": key}), **members}


def test_rows_and_ids_come_in_the_order_of_the_requests(session: Session) -> None:
    product_id = session.create_product(stock=10)
    holds = [session.create_hold(product_id) for _ in range(5)][::-1]
    rows = session.batch("create_orders", [order(hold_id) for hold_id in holds])
    assert list(rows[0]) == ["order_id", "hold_id", "status", "replayed", "errno", "product_id", "quantity"]
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
