"""Sessions act on holds and orders at their deadline: each ends in one state, and its units return once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import mysql.connector
import pytest

from tests.support import Session, eventually, is_waited_for, race

Connect = Callable[[], Session]

HOLDS = 120


@pytest.fixture(autouse=True)
def _short_deadlines(session: Session) -> Iterator[None]:
    session.call("change_setting", "hold_ttl_s", 1)
    session.call("change_setting", "payment_ttl_s", 1)
    yield
    session.call("change_setting", "hold_ttl_s", 120)
    session.call("change_setting", "payment_ttl_s", 900)


def attempt(session: Session, procedure: str, ids: list[int], *arguments: object) -> dict[int, int]:
    """CALL a procedure for each id; returns the errno by id, 0 for an accepted call."""
    answers = {}
    for row_id in ids:
        try:
            session.call(procedure, row_id, *arguments)
            answers[row_id] = 0
        except mysql.connector.Error as error:
            if error.sqlstate != "45000":
                raise
            answers[row_id] = error.errno
    return answers


def sweep_until_nothing_is_active(session: Session, table: str, status: str, ids: list[int]) -> None:
    """Sweep until none of the rows has the status any more."""
    places = ", ".join(map(str, ids))
    while session.query(f"SELECT 1 FROM {table} WHERE id IN ({places}) AND status = %s LIMIT 1", status):
        session.call("expire_due", 7)


def wait_until_shortly_before(session: Session, deadline: object) -> None:
    """Return 0.15 s before a deadline by the database's clock, so that the following calls come before and after it."""
    (row,) = session.query("SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), %s) AS microseconds", deadline)
    time.sleep(max(0.0, row["microseconds"] / 1_000_000 - 0.15))


def test_a_hold_is_either_ordered_released_or_expired(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=HOLDS)
    rows = session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * HOLDS)
    holds = [row["hold_id"] for row in rows]
    acts: list[Callable[[], Any]] = [
        partial(attempt, connect(), "create_order", holds, None),
        partial(attempt, connect(), "release_hold", holds[::-1]),
        partial(sweep_until_nothing_is_active, connect(), "holds", "active", holds),
    ]
    wait_until_shortly_before(session, rows[0]["expires_at"])
    ordered, released, _ = race(*acts)
    for hold_id in holds:
        accepted = [fate for fate, answers in (("ordered", ordered), ("released", released)) if not answers[hold_id]]
        (hold,) = session.query("SELECT status FROM holds WHERE id = %s", hold_id)
        assert [hold["status"]] == (accepted or ["expired"])
    session.sweep_everything()
    assert session.available(product_id) == HOLDS


def test_a_call_that_waits_for_a_locked_hold_until_its_deadline_has_passed_is_refused(
    session: Session, connect: Connect
) -> None:
    session.call("change_setting", "hold_ttl_s", 2)
    product_id = session.create_product(stock=3)
    acts = [("create_order", None), ("release_hold",), ("extend_hold",)]
    rivals, callers = [connect() for _ in acts], [connect() for _ in acts]
    holds = [session.create_hold(product_id) for _ in acts]
    for rival, hold_id in zip(rivals, holds, strict=True):
        rival.execute("START TRANSACTION")
        rival.query("SELECT 1 FROM holds WHERE id = %s FOR UPDATE", hold_id)
    with ThreadPoolExecutor(len(acts)) as pool:
        answers = [
            pool.submit(caller.errno, procedure, hold_id, *arguments)
            for caller, hold_id, (procedure, *arguments) in zip(callers, holds, acts, strict=True)
        ]
        eventually(lambda: all(is_waited_for(session, rival) for rival in rivals))
        eventually(lambda: all(session.status_of("hold", hold_id) == "expired" for hold_id in holds))
        for rival in rivals:
            rival.execute("COMMIT")
        assert [answer.result() for answer in answers] == [30202] * len(acts)


def test_units_that_expire_while_buyers_find_a_shortage_are_sold_once(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=HOLDS)
    rows = session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * HOLDS)
    session.call("change_setting", "hold_ttl_s", 120)

    def buy(buyer: Session) -> int:
        bought = accepted = 0
        while accepted or not is_over(buyer):
            requests = [{"product_id": product_id, "quantity": 1}] * 5
            accepted = buyer.errnos("create_holds", requests).count(None)
            bought += accepted
        return bought

    def is_over(buyer: Session) -> bool:
        return bool(buyer.query("SELECT UTC_TIMESTAMP() > %s AS is_over", rows[0]["expires_at"])[0]["is_over"])

    def sweep(sweeper: Session) -> int:
        while not is_over(sweeper):
            sweeper.call("expire_due", 10)
        return 0

    acts = [partial(buy, connect()) for _ in range(4)] + [partial(sweep, connect())]
    wait_until_shortly_before(session, rows[0]["expires_at"])
    assert sum(race(*acts)) == HOLDS
    assert session.available(product_id) == 0


def test_an_order_is_either_paid_or_cancelled_and_the_answers_agree(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=HOLDS)
    session.call("change_setting", "hold_ttl_s", 120)
    holds = [
        row["hold_id"] for row in session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * HOLDS)
    ]
    orders = [row["order_id"] for row in session.batch("create_orders", [{"hold_id": hold} for hold in holds])]

    def pay(payer: Session) -> dict[int, str]:
        return {
            order_id: payer.call("apply_payment", f"deadline {order_id}", order_id, "success")[0]["outcome"]
            for order_id in orders
        }

    acts: list[Callable[[], Any]] = [
        partial(pay, connect()),
        partial(attempt, connect(), "cancel_order", orders[::-1]),
        partial(sweep_until_nothing_is_active, connect(), "orders", "pending", orders),
    ]
    wait_until_shortly_before(session, session.call("get_order", orders[0])[0]["payment_due_at"])
    outcomes, cancelled, _ = race(*acts)
    for order_id in orders:
        is_paid = session.status_of("order", order_id) == "paid"
        assert outcomes[order_id] == ("applied" if is_paid else "refund_due")
        assert cancelled[order_id] == (30302 if is_paid else 0)
    assert session.available(product_id) == list(outcomes.values()).count("refund_due")
