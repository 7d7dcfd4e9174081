"""Two or three sessions act on one row, in every order, while another session holds the lock that they need.

That session lets the first act start, waits until it waits for the lock or has finished, does the same with the next
act, and then releases the lock. Whichever act wins, exactly one takes effect, and the stock agrees with it.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import mysql.connector
import pytest

from tests.support import Row, Session, is_thorough

Connect = Callable[[], Session]

UNITS = 3
STOCK = 5


@dataclass(frozen=True)
class Scene:
    """A product, and a hold or an order of some of its units."""

    product_id: int
    hold_id: int
    order_id: int


@dataclass(frozen=True)
class Act:
    """One CALL, and how its row shows that it took effect."""

    procedure: str
    arguments: Callable[[Scene], list[Any]]
    took_effect: Callable[[Row], bool] = lambda row: not row.get("replayed")
    travel_s: int = 0  # so far its session's clock is ahead, so that a deadline has passed for this act alone


def outcome_is_applied(row: Row) -> bool:
    """Whether a payment event settled its order."""
    return bool(row["outcome"] == "applied")


ON_A_HOLD = {
    "order": Act("create_order", lambda scene: [scene.hold_id, None]),
    "release": Act("release_hold", lambda scene: [scene.hold_id]),
    "expire": Act("expire_due", lambda _: [1000], lambda row: row["holds"] == 1, 121),
}
ON_AN_ORDER = {
    "success": Act(
        "apply_payment", lambda scene: [f"s{scene.order_id}", scene.order_id, "success"], outcome_is_applied
    ),
    "failure": Act(
        "apply_payment", lambda scene: [f"f{scene.order_id}", scene.order_id, "failure"], outcome_is_applied
    ),
    "cancel": Act("cancel_order", lambda scene: [scene.order_id]),
    "expire": Act("expire_due", lambda _: [1000], lambda row: row["orders"] == 1, 901),
}
ON_STOCK = {
    "hold": Act("create_hold", lambda scene: [scene.product_id, UNITS, None]),
    "hold all": Act("create_hold", lambda scene: [scene.product_id, STOCK, None]),
    "take away": Act("adjust_stock", lambda scene: [scene.product_id, -UNITS, "counted", None]),
    "take all away": Act("adjust_stock", lambda scene: [scene.product_id, -STOCK, "counted", None]),
}

GATES = {
    "hold": "SELECT 1 FROM holds WHERE id = {0.hold_id} FOR UPDATE",
    "order": "SELECT 1 FROM orders WHERE id = {0.order_id} FOR UPDATE",
    "stock": "SELECT 1 FROM stock WHERE product_id = {0.product_id} FOR UPDATE",
}


class Performance(threading.Thread):
    """An act in its own session and thread."""

    def __init__(self, act: Act, session: Session, scene: Scene) -> None:
        super().__init__(daemon=True)
        self.act, self.session, self.scene = act, session, scene
        self.has_won: bool | None = None
        self.failure: mysql.connector.Error | None = None
        if act.travel_s:
            session.travel(act.travel_s)

    def run(self) -> None:
        """CALL, and note whether it took effect."""
        try:
            (row,) = self.session.call(self.act.procedure, *self.act.arguments(self.scene))
            self.has_won = self.act.took_effect(row)
        except mysql.connector.Error as error:
            self.has_won, self.failure = False, error

    def start_and_settle(self, observer: Session) -> None:
        """Start the act, and return when it waits for a lock or has finished."""
        self.start()
        while self.is_alive() and not is_waiting_for_a_lock(observer, self.session):
            self.join(0.002)

    def finish(self) -> bool:
        """Wait until the act has finished; returns whether it took effect."""
        self.join()
        assert self.failure is None or self.failure.sqlstate == "45000", self.failure
        return bool(self.has_won)


def is_waiting_for_a_lock(observer: Session, session: Session) -> bool:
    """Whether a session's statement waits for a row lock."""
    statement = (
        "SELECT 1 FROM performance_schema.data_lock_waits AS wait_ "
        "INNER JOIN performance_schema.threads AS thread_ ON thread_.thread_id = wait_.requesting_thread_id "
        "WHERE thread_.processlist_id = %s"
    )
    return bool(observer.query(statement, session.connection.connection_id))


def perform(connect: Connect, gate: str, scene: Scene, acts: list[Act]) -> list[bool]:
    """Start acts one after another while a lock is held, then release it; returns which took effect."""
    keeper, observer = connect(), connect()
    performances = [Performance(act, connect(), scene) for act in acts]
    keeper.execute("START TRANSACTION")
    keeper.query(GATES[gate].format(scene))
    for performance in performances:
        performance.start_and_settle(observer)
    keeper.execute("COMMIT")
    return [performance.finish() for performance in performances]


def sequences(acts: dict[str, Act], *gates: str, is_chosen: Callable[[str, tuple[str, ...]], bool]) -> list[Any]:
    """Two and three acts in every order, before every gate: the chosen ones, in a thorough run all."""
    return [
        pytest.param(gate, names, id=f"{gate}: {', '.join(names)}")
        for gate in gates
        for length in (2, 3)
        for names in permutations(acts, length)
        if is_chosen(gate, names) or is_thorough()
    ]


def may_differ(gate: str, names: tuple[str, ...]) -> bool:
    """Whether a third act can make a difference: at the stock only one waits, the others wait for its hold or order."""
    return len(names) == 2 or gate != "stock"


@pytest.fixture
def scene(session: Session) -> Scene:
    """A product of five units; no other hold or order is due."""
    session.sweep_everything()
    return Scene(session.create_product(stock=STOCK), 0, 0)


@pytest.mark.parametrize(("gate", "names"), sequences(ON_A_HOLD, "hold", "stock", is_chosen=may_differ))
def test_exactly_one_act_on_a_hold_takes_effect(
    session: Session, connect: Connect, scene: Scene, gate: str, names: tuple[str, ...]
) -> None:
    scene = Scene(scene.product_id, session.create_hold(scene.product_id, UNITS), 0)
    won = perform(connect, gate, scene, [ON_A_HOLD[name] for name in names])
    winners = [name for name, has_won in zip(names, won, strict=True) if has_won]
    assert len(winners) == 1
    (hold,) = session.query("SELECT status FROM holds WHERE id = %s", scene.hold_id)
    assert hold["status"] == {"order": "ordered", "release": "released", "expire": "expired"}[winners[0]]
    assert session.available(scene.product_id) == (STOCK - UNITS if winners == ["order"] else STOCK)


@pytest.mark.parametrize(("gate", "names"), sequences(ON_AN_ORDER, "order", "stock", is_chosen=may_differ))
def test_exactly_one_act_on_an_order_takes_effect(
    session: Session, connect: Connect, scene: Scene, gate: str, names: tuple[str, ...]
) -> None:
    scene = Scene(scene.product_id, 0, session.create_order(scene.product_id, UNITS))
    won = perform(connect, gate, scene, [ON_AN_ORDER[name] for name in names])
    winners = [name for name, has_won in zip(names, won, strict=True) if has_won]
    assert len(winners) == 1
    is_paid = winners == ["success"]
    assert session.status_of("order", scene.order_id) == ("paid" if is_paid else "cancelled")
    assert session.available(scene.product_id) == (STOCK - UNITS if is_paid else STOCK)


@pytest.mark.parametrize(("gate", "names"), sequences(ON_STOCK, "stock", is_chosen=may_differ))
def test_exactly_one_act_on_the_last_units_takes_effect(
    session: Session, connect: Connect, scene: Scene, gate: str, names: tuple[str, ...]
) -> None:
    won = perform(connect, gate, scene, [ON_STOCK[name] for name in names])
    (winner,) = [name for name, has_won in zip(names, won, strict=True) if has_won]
    assert session.available(scene.product_id) == (0 if "all" in winner else STOCK - UNITS)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("hold", {"holds", "idempotency_keys", "stock"}),
        ("take away", {"stock_adjustments", "idempotency_keys", "stock"}),
    ],
)
def test_a_session_that_waits_for_stock_has_locked_no_row_that_it_only_reads(
    connect: Connect, scene: Scene, name: str, tables: set[str]
) -> None:
    """So a DBA who changes settings or products does not delay holds."""
    keeper, observer = connect(), connect()
    performance = Performance(ON_STOCK[name], connect(), scene)
    keeper.execute("START TRANSACTION")
    keeper.query(GATES["stock"].format(scene))
    performance.start_and_settle(observer)
    assert observer.locked_tables(performance.session) == tables
    keeper.execute("COMMIT")
    assert performance.finish()


@pytest.mark.parametrize("is_archived_first", [True, False])
def test_no_hold_is_made_after_its_product_was_archived(
    session: Session, connect: Connect, scene: Scene, *, is_archived_first: bool
) -> None:
    """Also if it was evaluated before."""
    archive = Act("archive_product", lambda scene: [scene.product_id])
    acts = [archive, ON_STOCK["hold"]][:: 1 if is_archived_first else -1]
    won = perform(connect, "stock", scene, acts)
    assert won == ([True, False] if is_archived_first else [True, True])
    assert session.available(scene.product_id) == (STOCK if is_archived_first else STOCK - UNITS)


def test_a_hold_waits_for_a_locked_due_hold_before_it_is_refused_for_a_shortage(
    session: Session, connect: Connect, scene: Scene
) -> None:
    scene = Scene(scene.product_id, session.create_hold(scene.product_id, STOCK), 0)
    buyer = Act("create_hold", lambda scene: [scene.product_id, STOCK, None], travel_s=121)
    assert perform(connect, "hold", scene, [buyer]) == [True]


# Acts that move a deadline, and acts that come after it, by a clock that is ahead.
MOVING = {
    "hold": Act("extend_hold", lambda scene: [scene.hold_id]),
    "order": Act("start_payment", lambda scene: [scene.order_id]),
}
SWEEPING = {
    "hold": ON_A_HOLD["expire"],
    "order": ON_AN_ORDER["expire"],
}
AFTER_THE_DEADLINE_S = {"hold": 121, "order": 901}


@pytest.mark.parametrize("gate", ["own", "stock"])
@pytest.mark.parametrize("is_moved_first", [True, False])
@pytest.mark.parametrize("is_short", [True, False], ids=["a shortage sweeps", "the sweep comes"])
@pytest.mark.parametrize("kind", MOVING)
def test_a_deadline_is_either_moved_or_enforced(
    session: Session, connect: Connect, scene: Scene, *, kind: str, is_short: bool, is_moved_first: bool, gate: str
) -> None:
    if kind == "hold":
        scene = Scene(scene.product_id, session.create_hold(scene.product_id, STOCK), 0)
    else:
        scene = Scene(scene.product_id, 0, session.create_order(scene.product_id, STOCK))
    sweeping = SWEEPING[kind]
    if is_short:
        arguments = lambda scene: [scene.product_id, STOCK, None]  # noqa: E731
        sweeping = Act("create_hold", arguments, travel_s=AFTER_THE_DEADLINE_S[kind])
    acts = [MOVING[kind], sweeping][:: 1 if is_moved_first else -1]
    won = perform(connect, kind if gate == "own" else gate, scene, acts)
    is_moved, is_swept = won if is_moved_first else won[::-1]
    assert is_moved != is_swept
    (row,) = session.query(f"SELECT status FROM {kind}s WHERE id = %s", scene.hold_id or scene.order_id)
    assert (row["status"] in ("active", "pending")) == is_moved
    assert session.available(scene.product_id) == (0 if is_moved or is_short else STOCK)


ADAS = {
    "extend": MOVING["hold"],
    "order": ON_A_HOLD["order"],
    "release": ON_A_HOLD["release"],
    "expire": ON_A_HOLD["expire"],
    "buy more": Act("create_holds", lambda scene: [adas(scene)], lambda row: row["errno"] is None),
    "buy after the deadline": Act("create_holds", lambda scene: [adas(scene)], lambda row: row["errno"] is None, 121),
}


def may_exceed_the_maximum(_gate: str, names: tuple[str, ...]) -> bool:
    """Whether one act buys beside another, or two compete for the units that a third one returns."""
    buyers = sum(name.startswith("buy") for name in names)
    return buyers >= len(names) - 1


def adas(scene: Scene) -> str:
    """A batch with one hold of all units that the customer Ada may have."""
    return json.dumps([{"product_id": scene.product_id, "quantity": UNITS, "customer_id": "ada"}])


@pytest.mark.parametrize(("gate", "names"), sequences(ADAS, "hold", "stock", is_chosen=may_exceed_the_maximum))
def test_a_customer_never_has_more_than_the_maximum(
    session: Session, connect: Connect, scene: Scene, gate: str, names: tuple[str, ...]
) -> None:
    session.call("adjust_stock", scene.product_id, 100, "restock", None)
    session.call("set_selling_rules", scene.product_id, None, None, UNITS)
    (row,) = session.call("create_holds", adas(scene))
    scene = Scene(scene.product_id, row["hold_id"], 0)
    won = dict(zip(names, perform(connect, gate, scene, [ADAS[name] for name in names]), strict=True))
    (first,) = session.query("SELECT status FROM holds WHERE id = %s", row["hold_id"])
    is_back = first["status"] in ("released", "expired")
    bought = [name for name, has_won in won.items() if has_won and name.startswith("buy")]
    assert len(bought) <= is_back
    (units,) = session.query("SELECT SUM(quantity) AS had FROM customer_units WHERE product_id = %s", scene.product_id)
    assert (units["had"] or 0) == UNITS * (len(bought) + (not is_back))
    assert session.available(scene.product_id) == STOCK + 100 - (units["had"] or 0)
    assert session.errnos("create_holds", json.loads(adas(scene))) == ([30105] if units["had"] else [None])
