"""Procedures that pause before their steps, and two sessions that take their steps in a chosen order.

A step begins at a given text in a procedure's body, where a pause is inserted. The pause waits for a user-level lock
that is named after the session and the step's number. Another session holds this lock until it is the first one's turn.
A session without the variable @steps does not pause.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import mysql.connector

from service.deploy import SQL_MODE, read_routines
from tests.support import DEADLOCK, Session

STEPS = {
    "adjust_stock": ("UPDATE stock",),
    "apply_refunds": ("SELECT JSON_MERGE_PRESERVE",),
    "change_product": ("UPDATE stock",),
    "change_setting": ("UPDATE settings",),
    "decide_extensions": ("UPDATE /*+",),
    "decide_holds": ("CALL sweep_short_products(",),
    "decide_new_orders": ("CALL write_new_orders(",),
    "decide_payment_starts": ("UPDATE /*+",),
    "decide_payments": ("CALL write_payments(",),
    "decide_reductions": ("CALL return_stock(",),
    "decide_refunds": ("CALL write_refunds(",),
    "write_holds": ("UPDATE /*+",),
    "write_payments": ("CALL decide_outcomes(", "CALL apply_outcomes(", "IF v_is_any_unknown"),
    "write_refunds": ("INSERT INTO idempotency_keys",),
    "write_new_orders": ("CALL settle_new_orders(",),
    "purge_history": ("CALL purge_orders(",),
    "return_stock": ("UPDATE /*+",),
    "set_selling_rules": ("UPDATE stock",),
    "lock_waiting_payments": ("SET out_events",),
    "settle_refund": ("UPDATE payment_events",),
    "settle_waiting_payments": ("CALL settle_orders(", "CALL orphan_payments("),
}
MOST_STEPS = 12  # a session does not pause before further steps

PAUSE = """
CREATE PROCEDURE pause()
IF @steps IS NOT NULL THEN
    SET @steps = @steps + 1;
    DO GET_LOCK(CONCAT('step.', CONNECTION_ID(), '.', @steps), 60);
    DO RELEASE_LOCK(CONCAT('step.', CONNECTION_ID(), '.', @steps));
END IF
"""

WAITS = """
SELECT thread_.processlist_id AS session, lock_.object_name AS what
FROM performance_schema.metadata_locks AS lock_
INNER JOIN performance_schema.threads AS thread_ ON thread_.thread_id = lock_.owner_thread_id
WHERE lock_.object_type = 'USER LEVEL LOCK' AND lock_.lock_status = 'PENDING'
UNION ALL
SELECT thread_.processlist_id, 'a row'
FROM performance_schema.data_lock_waits AS wait_
INNER JOIN performance_schema.threads AS thread_ ON thread_.thread_id = wait_.requesting_thread_id
"""

Act = Callable[[Session], Any]
Play = Callable[[Sequence[int]], tuple[Any, list[int]]]  # takes choices; returns the result and all choices made


def insert_pauses(session: Session) -> None:
    """Replace the procedures of STEPS by copies that pause before these steps."""
    session.execute(PAUSE)
    session.execute("SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci")
    session.execute(f"SET sql_mode = '{SQL_MODE}'")
    for routine in read_routines():
        text = routine.text
        for beginning in STEPS.get(routine.name, ()):
            assert text.count(f" {beginning}") == 1, (
                f"{routine.name} has changed: correct in STEPS where its steps begin"
            )
            text = text.replace(f" {beginning}", f" CALL pause(); {beginning}")
        if text != routine.text:
            session.execute(f"DROP PROCEDURE {routine.name}")
            session.execute(replace(routine, text=text).create_statement)


class Stage:
    """Two sessions that act, one that holds the locks of their steps, and one that observes what they wait for."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        self.sessions = [connect(), connect()]
        self.ids = [session.connection.connection_id for session in self.sessions]
        self.keeper, self.observer = connect(), connect()
        self.pool = ThreadPoolExecutor(2)
        self.retries = 0
        for session in self.sessions:
            session.execute("SET innodb_lock_wait_timeout = 60")

    def play(self, acts: Sequence[Act], choices: Sequence[int]) -> tuple[list[Any], list[int]]:
        """Run two acts. `choices` says whose step is next, 0 or 1, as long as both can go on; after its end it is 0.

        Returns their answers, and every choice that was made.
        """
        steps = [f"step.{session_id}.{number}" for session_id in self.ids for number in range(1, MOST_STEPS + 1)]
        self.keeper.query("SELECT RELEASE_ALL_LOCKS(), " + ", ".join(f"GET_LOCK('{step}', 0)" for step in steps))
        futures: list[Future[Any] | None] = [None, None]
        taken = [0, 0]
        made: list[int] = []
        while ready := self._settle(futures, taken):
            turn = ready[0]
            if len(ready) == 2:
                turn = choices[len(made)] if len(made) < len(choices) else 0
                made.append(turn)
            if taken[turn] == 0:
                futures[turn] = self.pool.submit(self._run, self.sessions[turn], acts[turn])
            else:
                self.keeper.query(f"SELECT RELEASE_LOCK('step.{self.ids[turn]}.{taken[turn]}')")
            taken[turn] += 1
        return [future.result() for future in futures if future], made

    def _settle(self, futures: Sequence[Future[Any] | None], taken: Sequence[int]) -> list[int]:
        """Wait until both sessions pause, wait for a row, or have finished; returns those that can take a step."""
        while True:
            over = [bool(future and future.done()) for future in futures]
            waits = {row["session"]: row["what"] for row in self.observer.query(WAITS)}
            # A pause may still be listed for a moment after its lock was released.
            stands_at = [waits.get(session_id) for session_id in self.ids]
            ready = [not taken[turn] or stands_at[turn] == f"step.{self.ids[turn]}.{taken[turn]}" for turn in (0, 1)]
            is_blocked = [at is not None and not at.startswith("step.") for at in stands_at]
            if all(over[turn] or ready[turn] or is_blocked[turn] for turn in (0, 1)):
                assert any(ready) or all(over), f"the sessions wait for each other: {waits}"
                return [turn for turn in (0, 1) if ready[turn]]

    def _run(self, session: Session, act: Act) -> Any:
        """Run an act; after a deadlock run it again, without pauses, as the service does."""
        session.execute("SET @steps = 0")
        while True:
            try:
                return act(session)
            except mysql.connector.Error as error:
                if error.errno != DEADLOCK:
                    raise
                self.retries += 1
                session.execute("SET @steps = NULL")


def every_order(play: Play) -> Iterator[tuple[Any, list[int]]]:
    """Play every possible series of choices; yields the result and the choices of each."""
    choices: list[int] = []
    while True:
        outcome, made = play(choices)
        yield outcome, made
        while made and made[-1] == 1:
            made.pop()
        if not made:
            return
        choices = [*made[:-1], 1]
