"""However the steps of two procedures interleave, the result is that of one procedure after the other."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import combinations_with_replacement
from typing import Any

import mysql.connector
import pytest

from tests.concurrency.steps import MOST_STEPS, Act, Play, Stage, every_order, insert_pauses
from tests.support import Row, Session, is_thorough

Connect = Callable[[], Session]

START_S = 2_000_000_000
DAY_S = 86_400
NOBODYS_ID = 10**9


@dataclass(frozen=True)
class Scene:
    """Two products of seven and five units, and the holds and orders that have some of these units.

    Of the first, a hold, a pending order and a paid one, which is Bob's, have two each, and one is available. Another
    hold has two units of the second product. One payment came too late for a cancelled order, and one waits for an
    order that does not exist. A customer may have one unit of the second product.
    """

    product_id: int
    one_each_id: int
    hold_id: int
    other_hold_id: int
    order_id: int
    cancelled_order_id: int
    paid_hold_id: int
    paid_order_id: int

    def name(self, kind: str, row_id: int | None) -> str | None:
        """A name for a hold or an order, instead of its id."""
        names = {
            ("hold", self.hold_id): "the hold",
            ("hold", self.other_hold_id): "the other hold",
            ("order", self.order_id): "the order",
            ("order", self.cancelled_order_id): "the cancelled order",
            ("hold", self.paid_hold_id): "the paid hold",
            ("order", self.paid_order_id): "the paid order",
            ("order", NOBODYS_ID): "nobody's order",
        }
        return None if row_id is None else names.get((kind, row_id), "another")


@dataclass(frozen=True)
class Call:
    """A procedure and its arguments, called by a session whose clock may be ahead."""

    procedure: str
    arguments: Callable[[Scene], list[Any]]
    # The rows that it reads or writes, in words: two calls without a row in common cannot disturb each other.
    rows: frozenset[str]
    ahead_s: int = 0
    # Its rows show a state that another session may have caused, so they are not compared.
    shows_state: bool = False
    # It leaves rows that another session has locked to its next run.
    skips_locked: bool = False
    # Because units are short, it first sweeps in a transaction of its own; another session may act before the next one.
    sweeps_first: bool = False

    def __call__(self, session: Session, scene: Scene) -> Any:
        """CALL; returns the rows without ids, or the errno; None if they show or skip what another session did."""
        session.stand_at(str(START_S + 10 + self.ahead_s))
        try:
            rows = session.call(self.procedure, *self.arguments(scene))
        except mysql.connector.Error as error:
            if error.sqlstate != "45000":
                raise
            return error.errno
        if self.shows_state or self.skips_locked:
            return None
        return [{name: value for name, value in row.items() if not name.endswith(("id", "ids"))} for row in rows]


def rows(*names: str) -> frozenset[str]:
    """Rows in words."""
    return frozenset(names)


def card_event(
    key: str, order_id: Callable[[Scene], int], status: str, payment_id: str, needed: frozenset[str]
) -> Call:
    """A payment event that names its payment."""

    def arguments(scene: Scene) -> list[Any]:
        members = {"idempotency_key": key, "order_id": order_id(scene), "status": status, "payment_id": payment_id}
        return [json.dumps([members])]

    return Call("apply_payments", arguments, needed, shows_state=True)


def refund_one(scene: Scene) -> list[Any]:
    """A refund of one of the paid units, which is written off."""
    lines = [{"hold_id": scene.paid_hold_id, "quantity": 1}]
    return [json.dumps([{"order_id": scene.paid_order_id, "restock": False, "lines": lines, "idempotency_key": "b"}])]


CALLS = {
    "hold": Call("create_hold", lambda scene: [scene.product_id, 1, "a"], rows("stock", "product", "setting", "keys")),
    "hold what is due": Call(
        "create_hold",
        lambda scene: [scene.product_id, 2, "b"],
        rows("stock", "product", "setting", "hold", "order"),
        ahead_s=200,
        sweeps_first=True,
    ),
    "hold for Ann": Call(
        "create_holds",
        lambda scene: [json.dumps([{"product_id": scene.one_each_id, "quantity": 1, "customer_id": "Ann"}])],
        rows("customer units"),
    ),
    "order": Call("create_order", lambda scene: [scene.hold_id, "a"], rows("hold", "new order", "keys")),
    "order both": Call(
        "create_orders",
        lambda scene: [json.dumps([{"hold_ids": [scene.other_hold_id, scene.hold_id]}])],
        rows("hold", "new order"),
    ),
    "pay": Call("apply_payment", lambda scene: ["paid", scene.order_id, "success"], rows("order"), shows_state=True),
    "fail": Call(
        "apply_payment", lambda scene: ["failed", scene.order_id, "failure"], rows("order", "stock"), shows_state=True
    ),
    "fail early": Call(
        "apply_payment", lambda scene: ["early", scene.order_id + 1, "failure"], rows("new order"), shows_state=True
    ),
    "release": Call("release_hold", lambda scene: [scene.hold_id], rows("hold", "stock")),
    "reduce": Call("reduce_hold", lambda scene: [scene.hold_id, 1], rows("hold", "stock")),
    "extend": Call("extend_hold", lambda scene: [scene.hold_id], rows("hold")),
    "cancel": Call("cancel_order", lambda scene: [scene.order_id], rows("order", "stock")),
    "refund": Call("refund_order", lambda scene: [scene.paid_order_id, True, "a"], rows("paid order", "stock")),
    "refund one": Call("refund_orders", refund_one, rows("paid order")),
    "start payment": Call("start_payment", lambda scene: [scene.order_id], rows("order")),
    "expire": Call("expire_due", lambda _: [1000], rows("hold", "order", "stock"), ahead_s=2_000, skips_locked=True),
    "take away": Call("adjust_stock", lambda scene: [scene.product_id, -1, "counted", "a"], rows("stock", "keys")),
    "change": Call(
        "change_product", lambda scene: [scene.product_id, "Renamed", "9.99", None], rows("product", "stock")
    ),
    "close": Call(
        "set_selling_rules",
        lambda scene: [scene.product_id, None, "2033-05-18 03:33:20", None],
        rows("product", "stock"),
    ),
    "archive": Call("archive_product", lambda scene: [scene.product_id], rows("stock")),
    "shorten holds": Call("change_setting", lambda _: ["hold_ttl_s", 60], rows("setting")),
    "settle refund": Call("settle_refund", lambda _: ["late"], rows("events")),
    "settle waiting": Call(
        "settle_waiting_payments", lambda _: [1000], rows("events", "new order"), ahead_s=2 * DAY_S, shows_state=True
    ),
    "purge": Call(
        "purge_history",
        lambda _: [1000],
        rows("hold", "order", "events", "keys"),
        ahead_s=40 * DAY_S,
        skips_locked=True,
    ),
    "pay by card": card_event("card", lambda scene: scene.order_id, "success", "card", rows("order")),
    "report the card again": card_event("card again", lambda scene: scene.order_id, "success", "card", rows("order")),
    "report the refund": card_event(
        "report", lambda scene: scene.cancelled_order_id, "refunded", "late card", rows("events")
    ),
}


def sweep_at(call: Call) -> Call:
    """A sweep by the clock of a call."""
    return replace(CALLS["expire"], ahead_s=call.ahead_s)


TABLES = (
    *("customer_units", "holds", "idempotency_keys", "orders", "order_lines", "payment_events", "products", "stock"),
    *("refunds", "refund_lines", "stock_adjustments", "sweeps", "events"),
)


HOLD = (
    "INSERT INTO holds (product_id, quantity, unit_price, status, expires_at, inserted_by, position)"
    " VALUES (%s, 2, 100, %s, %s, 0, 1)"
)
ORDER = (
    "INSERT INTO orders (hold_id, product_id, quantity, amount, status, payment_due_at, caller)"
    " VALUES (%s, %s, 2, 200, %s, %s, '')"
)
LINES = (
    "INSERT INTO order_lines (order_id, hold_id, product_id, quantity, unit_price)"
    " SELECT id, hold_id, product_id, 2, 100 FROM orders"
)
CUSTOMER = "INSERT INTO customer_units (hold_id, product_id, customer_id, quantity) VALUES (%s, %s, 'Bob', 2)"
TOLD = (
    "INSERT INTO events (type, order_id, hold_ids, caller, occurred_at)"
    " SELECT type, id, JSON_ARRAY(hold_id), caller, '2033-05-18' FROM orders INNER JOIN"
    " (SELECT 'order.created' AS type UNION ALL SELECT 'order.paid' UNION ALL SELECT 'order.cancelled') AS types"
    " ON type IN ('order.created', CONCAT('order.', status)) ORDER BY type = 'order.created' DESC"
)
EVENT = (
    "INSERT INTO payment_events (idempotency_key, order_id, status, outcome, received_at, payment_id, refund_reason)"
    " VALUES (%s, %s, 'success', %s, %s, 'late card', %s)"
)


def set_up(session: Session) -> Scene:
    """Empty the tables and create the scene, in one transaction, because this takes most of a performance's time."""

    def insert(statement: str, *values: Any) -> int:
        session.execute(statement, *values)
        return int(session.cursor.lastrowid)

    session.execute("START TRANSACTION")
    for table in TABLES:
        session.execute(f"DELETE FROM {table}")
    session.execute("UPDATE settings SET value = 120 WHERE name = 'hold_ttl_s'")
    product_id = insert("INSERT INTO products (name, price) VALUES ('Limited Edition Item', 100)")
    one_each_id = insert("INSERT INTO products (name, price, maximum_per_customer) VALUES ('One for each', 100, 1)")
    session.execute(
        "INSERT INTO stock (product_id, total, available) VALUES (%s, 7, 1), (%s, 5, 3)", product_id, one_each_id
    )
    start, hold_expires_at, payment_due_at = (
        datetime.fromtimestamp(START_S + seconds, UTC).replace(tzinfo=None) for seconds in (0, 120, 900)
    )
    cancelled, ordered, paid_hold_id, hold_id = (
        insert(HOLD, product_id, status, hold_expires_at) for status in ("ordered", "ordered", "ordered", "active")
    )
    other_hold_id = insert(HOLD, one_each_id, "active", hold_expires_at)
    cancelled_order_id = insert(ORDER, cancelled, product_id, "cancelled", payment_due_at)
    order_id = insert(ORDER, ordered, product_id, "pending", payment_due_at)
    paid_order_id = insert(ORDER, paid_hold_id, product_id, "paid", payment_due_at)
    session.execute(LINES)
    insert(CUSTOMER, paid_hold_id, product_id)
    session.execute(TOLD)
    insert(EVENT, "late", cancelled_order_id, "refund_due", start, "too_late")
    insert(EVENT, "waiting", NOBODYS_ID, "waiting", start, None)
    session.execute("COMMIT")
    return Scene(
        *(product_id, one_each_id, hold_id, other_hold_id),
        *(order_id, cancelled_order_id, paid_hold_id, paid_order_id),
    )


def describe(session: Session, scene: Scene) -> dict[str, list[Row]]:
    """The content of the tables, with names instead of ids and in an order that does not depend on ids."""
    assert session.call("check_stock") == []
    queries = {
        "products": "SELECT name, price, ends_at FROM products",
        "stock": "SELECT total, available, archived_at FROM stock",
        "adjustments": "SELECT quantity FROM stock_adjustments",
        "holds": "SELECT id AS hold_id, quantity, status, expires_at, is_extended FROM holds",
        "orders": "SELECT id AS order_id, hold_id, amount, status, payment_due_at, payment_started_at FROM orders",
        "lines": "SELECT order_id, hold_id, quantity, unit_price, refunded_quantity FROM order_lines",
        "customers": "SELECT hold_id, quantity FROM customer_units",
        "refunds": "SELECT order_id, hold_id, quantity, amount, is_restocked FROM refunded_lines",
        "events": "SELECT idempotency_key, order_id, status, outcome, refund_settled_at FROM payment_events",
        "told": "SELECT type, order_id, reason, amount FROM events",
        "keys": "SELECT operation, idempotency_key, result_expires_at, result_status, result_available"
        " FROM idempotency_keys WHERE LENGTH(idempotency_key) = 1",
        "setting": "SELECT value FROM settings WHERE name = 'hold_ttl_s'",
    }
    state = {}
    for what, query in queries.items():
        rows = session.query(query)
        for row in rows:
            for kind in ("hold", "order"):
                if f"{kind}_id" in row:
                    row[f"{kind}_id"] = scene.name(kind, row[f"{kind}_id"])
        state[what] = sorted(rows, key=str)
    return state


class Performance:
    """Two calls, interleaved or one after the other."""

    def __init__(self, session: Session, stage: Stage, calls: Sequence[Call]) -> None:
        self.session, self.stage, self.calls = session, stage, calls

    def play(self, choices: Sequence[int]) -> tuple[Any, list[int]]:
        """Run both calls with their steps in the chosen order; returns the result and all choices."""
        scene = set_up(self.session)
        acts: list[Act] = [partial(call, scene=scene) for call in self.calls]
        answers, made = self.stage.play(acts, choices)
        return self.outcome(answers, scene), made

    def one_after_another(self) -> Iterator[Any]:
        """The results of one call after the other, in both orders; also after a sweep, if a call begins with one."""
        for first in (0, 1):
            yield self._one_after_another(first)
            if self.calls[1 - first].sweeps_first:
                yield self._one_after_another(first, sweep_at(self.calls[1 - first]))

    def _one_after_another(self, first: int, sweep: Call | None = None) -> Any:
        scene = set_up(self.session)
        answers = [None, None]
        if sweep:
            sweep(self.session, scene)
        for turn in (first, 1 - first):
            answers[turn] = self.calls[turn](self.session, scene)
        return self.outcome(answers, scene)

    def outcome(self, answers: list[Any], scene: Scene) -> Any:
        """The answers and the tables' content, after another run of calls that skip locked rows and after a sweep."""
        for call in self.calls:
            if call.skips_locked:
                call(self.session, scene)
            elif call.ahead_s:
                sweep_at(call)(self.session, scene)
        self.session.stand_at(str(START_S + 10))
        return answers, describe(self.session, scene)


@pytest.fixture(scope="module")
def stage(database_url: str) -> Iterator[Stage]:
    """A stage on a database whose procedures pause between their steps."""
    sessions: list[Session] = []

    def connect() -> Session:
        sessions.append(Session(database_url))
        return sessions[-1]

    insert_pauses(connect())
    yield Stage(connect)
    for session in sessions:
        session.close()


def orders_of_turns(play: Play) -> Iterator[tuple[Any, Sequence[int]]]:
    """The results of two orders of steps: a whole call after the other's first step. In a thorough run, of all."""
    if is_thorough():
        yield from every_order(play)
    else:
        for first in (0, 1):
            yield play([first] + [1 - first] * MOST_STEPS)


PAIRS = [
    (first, second)
    for first, second in combinations_with_replacement(CALLS, 2)
    if CALLS[first].rows & CALLS[second].rows or is_thorough()
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_interleaved_calls_have_the_result_of_one_after_the_other(
    session: Session, stage: Stage, first: str, second: str
) -> None:
    performance = Performance(session, stage, [CALLS[first], CALLS[second]])
    serial = list(performance.one_after_another())
    for outcome, turns in orders_of_turns(performance.play):
        assert outcome in serial, f"turns taken: {turns}"
