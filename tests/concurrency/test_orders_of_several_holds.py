"""Orders of several holds race each other, and everything else that can happen to one of their holds."""

import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations, product

import pytest

from tests.concurrency.test_interleavings import STOCK, Act, Connect, Scene, perform
from tests.support import Row, Session, is_thorough, race

SESSIONS = 4
HOLDS = 60
ORDERS_PER_BATCH = 25


def make_holds(session: Session, count: int, quantity: int = 1) -> list[int]:
    """Holds of a product each."""
    products = [session.create_product(stock=STOCK) for _ in range(count)]
    rows = session.batch("create_holds", [{"product_id": each, "quantity": quantity} for each in products])
    return [row["hold_id"] for row in rows]


def order(hold_ids: Sequence[int]) -> Act:
    """An order of several holds."""
    requests = json.dumps([{"hold_ids": list(hold_ids)}])
    return Act("create_orders", lambda _: [requests], lambda row: row["errno"] is None)


def statuses(session: Session, hold_ids: Sequence[int]) -> list[str]:
    """The status of each hold."""
    return [row["status"] for row in session.batch("get_holds", list(hold_ids))]


LISTS = [places for length in ((2, 3) if is_thorough() else (2,)) for places in permutations(range(3), length)]


@pytest.mark.parametrize("gate_place", range(3))
@pytest.mark.parametrize("first", LISTS, ids=str)
def test_orders_that_share_holds_in_any_order_of_ids_never_share_a_unit(
    session: Session, connect: Connect, first: tuple[int, ...], gate_place: int
) -> None:
    for second in LISTS:
        holds = make_holds(session, 3)
        wanted = [[holds[place] for place in places] for places in (first, second)]
        scene = Scene(0, holds[gate_place], 0)
        won = perform(connect, "hold", scene, [order(hold_ids) for hold_ids in wanted])
        taken = [hold for hold_ids, has_won in zip(wanted, won, strict=True) if has_won for hold in hold_ids]
        assert any(won)
        assert len(taken) == len(set(taken))
        assert all(won) == (not set(wanted[0]) & set(wanted[1]))
        assert statuses(session, holds) == ["ordered" if hold in taken else "active" for hold in holds]


def test_batches_of_orders_that_share_holds_cause_no_deadlock(session: Session, connect: Connect) -> None:
    chosen = random.Random(1)
    sessions = [connect() for _ in range(SESSIONS)]
    for _ in range(100 if is_thorough() else 15):
        holds = make_holds(session, HOLDS)
        batches = [
            [{"hold_ids": chosen.sample(holds, chosen.randint(1, 5))} for _ in range(ORDERS_PER_BATCH)]
            for _ in range(SESSIONS)
        ]
        calls: list[Callable[[], list[Row]]] = [
            partial(buyer.batch, "create_orders", batch) for buyer, batch in zip(sessions, batches, strict=True)
        ]
        made: dict[int, list[int]] = {}
        for batch, rows in zip(batches, race(*calls), strict=True):
            assert {row["errno"] for row in rows} <= {None, 30203}
            for request, row in zip(batch, rows, strict=True):
                if row["errno"] is None:
                    made[row["order_id"]] = sorted(request["hold_ids"])
                else:
                    assert row["hold_id"] in request["hold_ids"]
        assert made
        taken = [hold for hold_ids in made.values() for hold in hold_ids]
        assert len(taken) == len(set(taken))
        places = ", ".join(["%s"] * len(holds))
        lines: dict[int, list[int]] = {}
        for row in session.query(f"SELECT * FROM order_lines WHERE hold_id IN ({places}) ORDER BY hold_id", *holds):
            lines.setdefault(row["order_id"], []).append(row["hold_id"])
        assert lines == made
        assert [status == "ordered" for status in statuses(session, holds)] == [hold in taken for hold in holds]


ENDS = {
    "release": lambda hold_id: Act("release_hold", lambda _: [hold_id]),
    "expire": lambda _: Act("expire_due", lambda _: [1000], lambda row: row["holds"] > 0, 121),
}


@pytest.mark.parametrize(
    ("gate_place", "place", "is_order_first"), list(product(range(2), range(2), (True, False))), ids=str
)
@pytest.mark.parametrize("end", ENDS)
def test_all_holds_are_ordered_or_one_of_them_ends(
    session: Session, connect: Connect, *, end: str, gate_place: int, place: int, is_order_first: bool
) -> None:
    session.sweep_everything()
    holds = make_holds(session, 2)
    acts = [order(holds), ENDS[end](holds[place])][:: 1 if is_order_first else -1]
    won = perform(connect, "hold", Scene(0, holds[gate_place], 0), acts)
    is_ordered, has_ended = won if is_order_first else won[::-1]
    assert is_ordered != has_ended
    if is_ordered:
        assert statuses(session, holds) == ["ordered"] * 2
    else:
        assert "ordered" not in statuses(session, holds)
        assert {"release": "released", "expire": "expired"}[end] in statuses(session, holds)


@pytest.mark.parametrize(
    ("gate_place", "place", "is_order_first"), list(product(range(2), range(2), (True, False))), ids=str
)
def test_an_order_takes_what_a_reduced_hold_has_kept(
    session: Session, connect: Connect, gate_place: int, place: int, is_order_first: bool
) -> None:
    holds = make_holds(session, 2, quantity=3)
    acts = [order(holds), Act("reduce_hold", lambda _: [holds[place], 1])][:: 1 if is_order_first else -1]
    won = perform(connect, "hold", Scene(0, holds[gate_place], 0), acts)
    is_ordered, is_reduced = won if is_order_first else won[::-1]
    assert is_ordered
    (hold,) = session.call("get_hold", holds[place])
    assert hold["quantity"] == (1 if is_reduced else 3)
    (read,) = session.call("get_order", hold["order_id"])
    assert [line["quantity"] for line in json.loads(read["lines"])] == [
        1 if is_reduced and each == holds[place] else 3 for each in holds
    ]
    assert read["amount"] == (400 if is_reduced else 600)
    assert session.available(hold["product_id"]) == STOCK - hold["quantity"]
