"""Refunds race each other, the payment and the sweep of their order, and buyers who wait for its units."""

import json
import random
from collections import Counter
from functools import partial
from itertools import permutations
from typing import Any

import pytest

from tests.concurrency.test_interleavings import (
    ON_AN_ORDER,
    STOCK,
    UNITS,
    Act,
    Connect,
    Scene,
    adas,
    perform,
    sequences,
)
from tests.support import Retries, Row, Session, is_thorough, race

SESSIONS = 4
ORDERS = 12


def refund_lines(scene: Scene, quantity: int, *, restock: bool = True) -> str:
    """A batch with one refund of so many units of the order's line."""
    lines = [{"hold_id": scene.hold_id, "quantity": quantity}]
    return json.dumps([{"order_id": scene.order_id, "restock": restock, "lines": lines}])


REFUNDS = {
    "refund": Act("refund_order", lambda scene: [scene.order_id, True, None]),
    "write off": Act("refund_order", lambda scene: [scene.order_id, False, None]),
    "refund all by line": Act(
        "refund_orders", lambda scene: [refund_lines(scene, UNITS)], lambda row: row["errno"] is None
    ),
}
REFUND_TWO = Act("refund_orders", lambda scene: [refund_lines(scene, 2)], lambda row: row["errno"] is None)


@pytest.fixture
def ordered(session: Session) -> Scene:
    """A pending order of three of a product's five units; nothing else is due."""
    session.sweep_everything()
    product_id = session.create_product(stock=STOCK)
    order_id = session.create_order(product_id, UNITS)
    return Scene(product_id, session.call("get_order", order_id)[0]["hold_id"], order_id)


@pytest.fixture
def paid(session: Session, ordered: Scene) -> Scene:
    """The same order, paid."""
    session.call("apply_payment", f"payment of {ordered.order_id}", ordered.order_id, "success")
    return ordered


@pytest.mark.parametrize(
    ("gate", "names"), sequences(REFUNDS, "order", "stock", is_chosen=lambda _, names: len(names) == 2)
)
def test_exactly_one_refund_of_all_units_takes_effect(
    session: Session, connect: Connect, paid: Scene, gate: str, names: tuple[str, ...]
) -> None:
    won = perform(connect, gate, paid, [REFUNDS[name] for name in names])
    (winner,) = [name for name, has_won in zip(names, won, strict=True) if has_won]
    assert session.status_of("order", paid.order_id) == "refunded"
    assert session.available(paid.product_id) == (STOCK - UNITS if winner == "write off" else STOCK)


@pytest.mark.parametrize("gate", ["order", "stock"])
def test_refunds_of_parts_take_effect_as_long_as_units_are_left(
    session: Session, connect: Connect, paid: Scene, gate: str
) -> None:
    assert perform(connect, gate, paid, [REFUND_TWO, REFUND_TWO, REFUNDS["refund"]]) == [True, False, True]
    assert session.available(paid.product_id) == STOCK


@pytest.mark.parametrize("end", ["success", "failure", "cancel", "expire"])
@pytest.mark.parametrize("is_refund_first", [True, False])
def test_an_order_is_refunded_only_after_its_payment(
    session: Session, connect: Connect, ordered: Scene, *, end: str, is_refund_first: bool
) -> None:
    acts = [REFUNDS["refund"], ON_AN_ORDER[end]][:: 1 if is_refund_first else -1]
    won = perform(connect, "order", ordered, acts)
    is_refunded, has_ended = won if is_refund_first else won[::-1]
    # The sweep skips an order that another session has locked; the refund leaves it as it was.
    assert has_ended or end == "expire"
    assert is_refunded == (end == "success" and not is_refund_first)
    is_back = has_ended and (is_refunded or end != "success")
    assert session.available(ordered.product_id) == (STOCK if is_back else STOCK - UNITS)


HOLD_TWO = Act("create_hold", lambda scene: [scene.product_id, 2, None])


@pytest.mark.parametrize("refund_place", range(3))
def test_holds_that_wait_for_the_stock_get_refunded_units(
    session: Session, connect: Connect, paid: Scene, refund_place: int
) -> None:
    """Two units are available, and two holds of two units wait for the stock beside the refund."""
    acts = [HOLD_TWO, HOLD_TWO]
    acts.insert(refund_place, REFUNDS["refund"])
    won = perform(connect, "stock", paid, acts)
    assert won[refund_place]
    assert all(won) or refund_place == 2
    assert session.available(paid.product_id) == STOCK - 2 * (sum(won) - 1)


@pytest.mark.parametrize("gate", ["order", "stock"])
@pytest.mark.parametrize("names", list(permutations(("refund", "refund two", "buy"))))
def test_a_customer_who_buys_beside_a_refund_never_has_more_than_the_maximum(
    session: Session, connect: Connect, gate: str, names: tuple[str, ...]
) -> None:
    product_id = session.create_product(stock=100)
    session.call("set_selling_rules", product_id, None, None, UNITS)
    (hold,) = session.call("create_holds", adas(Scene(product_id, 0, 0)))
    (order,) = session.call("create_order", hold["hold_id"], None)
    scene = Scene(product_id, hold["hold_id"], order["order_id"])
    session.call("apply_payment", f"payment of {scene.order_id}", scene.order_id, "success")
    acts = {
        "refund": REFUNDS["refund"],
        "refund two": REFUND_TWO,
        "buy": Act("create_holds", lambda scene: [adas(scene)], lambda row: row["errno"] is None),
    }
    won = dict(zip(names, perform(connect, gate, scene, [acts[name] for name in names]), strict=True))
    assert won["refund"]
    (units,) = session.query("SELECT SUM(quantity) AS had FROM customer_units WHERE product_id = %s", product_id)
    assert (units["had"] or 0) == UNITS * won["buy"]
    assert session.available(product_id) == 100 - UNITS * won["buy"]


def paid_orders(session: Session) -> dict[int, list[int]]:
    """Paid orders of three lines of four units each; the holds of each."""
    products = [session.create_product(stock=4 * ORDERS) for _ in range(3)]
    holds = session.batch(
        "create_holds", [{"product_id": each, "quantity": 4} for _ in range(ORDERS) for each in products]
    )
    ids = [row["hold_id"] for row in holds]
    wanted = [ids[start : start + 3] for start in range(0, len(ids), 3)]
    orders = [row["order_id"] for row in session.batch("create_orders", [{"hold_ids": each} for each in wanted])]
    events = [{"idempotency_key": f"payment of {each}", "order_id": each, "status": "success"} for each in orders]
    assert session.errnos("apply_payments", events) == [None] * ORDERS
    return dict(zip(orders, wanted, strict=True))


def test_batches_that_refund_units_of_the_same_orders_refund_each_unit_once(session: Session, connect: Connect) -> None:
    chosen = random.Random(1)
    sessions = [(connect(), Retries()) for _ in range(SESSIONS)]
    for number in range(20 if is_thorough() else 4):
        orders = paid_orders(session)
        units = [(order_id, hold_id) for order_id, holds in orders.items() for hold_id in holds for _ in range(5)]
        requests = [
            {
                "order_id": order_id,
                "restock": bool(chosen.randrange(3)),
                "lines": [{"hold_id": hold_id, "quantity": 1}],
                "idempotency_key": f"{number} {position}",
            }
            for position, (order_id, hold_id) in enumerate(units)
        ]
        # Each request is sent by every session, in an order of its own.
        calls = [
            partial(retries.run, partial(caller.batch, "refund_orders", chosen.sample(requests, len(requests))))
            for caller, retries in sessions
        ]
        answers: list[Row] = [row for rows in race(*calls) for row in rows]
        assert {row["errno"] for row in answers} == {None, 30305}
        made = {row["refund_id"] for row in answers if row["errno"] is None}
        assert len(made) == 4 * 3 * ORDERS
        assert Counter(row["replayed"] for row in answers if row["errno"] is None)[0] == len(made)
        read = session.batch("get_orders", list(orders))
        assert {row["status"] for row in read} == {"refunded"}
        places = ", ".join(["%s"] * len(orders))
        (total,) = session.query(f"SELECT SUM(amount) AS amount FROM refunds WHERE order_id IN ({places})", *orders)
        assert total["amount"] == sum(row["amount"] for row in read)
        assert session.call("check_stock") == []
    print(f"deadlocks: {[retries.count for _, retries in sessions]}")


@pytest.mark.parametrize("is_same_order", [True, False])
def test_concurrent_sends_of_one_key_make_one_refund(
    session: Session, connect: Connect, *, is_same_order: bool
) -> None:
    sessions = [(connect(), Retries()) for _ in range(SESSIONS)]
    product_id = session.create_product(stock=100)
    for number in range(5):
        orders = [session.create_paid_order(product_id) for _ in sessions]
        calls: list[Any] = [
            partial(
                retries.run,
                partial(
                    caller.batch,
                    "refund_orders",
                    [
                        {
                            "order_id": orders[0] if is_same_order else order_id,
                            "restock": True,
                            "idempotency_key": f"{is_same_order} {number}",
                        }
                    ],
                ),
            )
            for (caller, retries), order_id in zip(sessions, orders, strict=True)
        ]
        rows = [row for (row,) in race(*calls)]
        errnos = [None] * SESSIONS if is_same_order else [None] + [30002] * (SESSIONS - 1)
        assert sorted([row["errno"] for row in rows], key=lambda errno: errno or 0) == errnos
        assert len({row["refund_id"] for row in rows if row["errno"] is None}) == 1
