"""Group commit: requests that arrive while a call is in flight are sent together in the next one."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from enum import Enum
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

import structlog

from service.errors import DatabaseUnavailable, Overloaded
from service.metrics import BatchMetrics

Request = TypeVar("Request")
Answer = TypeVar("Answer")

ATTEMPT_LIMIT = 3
ASIDE_LIMIT = 4
RETRY_JITTER_S = 0.05
DEADLINE_CHECK_S = 0.02
# Turns of the event loop after a call that carried several requests. In these turns the answers are written, and
# clients that send their next request at once get into the next call. Without them the next call starts half empty, and
# one load generator gets a third fewer holds per second. Of 4, 10, 16 and 30 turns, 16 gave the most.
LOOP_TURNS_BETWEEN_CALLS = 16
LONGEST_TURN_S = 0.05  # a call of 256 requests takes about 20 ms, unless it waits for a lock

log = structlog.get_logger()


class Failure(Enum):
    """How the batcher reacts to a failed call."""

    RETRY = "send the same batch again, three times at most"
    WAIT = "what MySQL lacks is being replaced: send the same batch again until its deadline"
    LOCKED = "a wait for a lock timed out: send each lock group on a connection of its own"
    DEFECT = "send the requests one by one; the one that fails alone has hit a defect of ours"
    UNKNOWN = "send the requests one by one; MySQL cannot serve the one that fails alone"


class Entry(asyncio.Future[Answer], Generic[Request, Answer]):
    """The future of a request's answer.

    request   the element that `send` gets
    deadline  loop time in seconds at which the request fails with Overloaded
    attempt   how often the request has been sent
    """

    def __init__(self, request: Request, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.request = request
        self.deadline = deadline
        self.attempt = 0


class Batcher(Generic[Request, Answer]):
    """Sends requests in batches, with one call in flight. An idle batcher sends at once: there is no waiting window.

    name         the procedure, for log lines and metrics
    send         takes the requests of a batch and returns their answers in order
    classify     tells how to react to an exception of `send`
    reason       names that exception in one word, for log lines
    send_aside   does what `send` does on another connection, so that a lock group can wait for its lock there
    lock_group   returns what a request locks; requests of one lock group wait for the same lock
    turn         held while a call is in flight, so that batchers that share it send one call at a time. While one of
                 them waits, the others' batches grow, which makes each request cheaper. A call that takes longer than
                 50 ms passes the turn on: it may wait for a lock that does not concern the others.
    batch_limit  requests per call
    queue_limit  requests that may wait
    deadline_s   seconds after which an unanswered request fails
    """

    def __init__(
        self,
        name: str,
        send: Callable[[list[Request]], Awaitable[list[Answer]]],
        classify: Callable[[BaseException], Failure],
        *,
        reason: Callable[[BaseException], str],
        send_aside: Callable[[list[Request]], Awaitable[list[Answer]]] | None = None,
        lock_group: Callable[[Request], Hashable] = lambda _request: None,
        turn: asyncio.Lock | None = None,
        batch_limit: int,
        queue_limit: int,
        deadline_s: float,
    ) -> None:
        self._name = name
        self._metrics = BatchMetrics(name, queue_limit)
        self._send = send
        self._send_aside = send_aside or send
        self._classify = classify
        self._reason = reason
        self._lock_group = lock_group
        self._turn = turn or asyncio.Lock()
        self._batch_limit = batch_limit
        self._queue_limit = queue_limit
        self._deadline_s = deadline_s
        self._queue: deque[Entry[Request, Answer]] = deque()
        self._in_flight: list[Entry[Request, Answer]] = []
        self._aside: dict[Hashable, list[Entry[Request, Answer]]] = {}
        self._aside_tasks: set[asyncio.Task[None]] = set()
        self._aside_slots = asyncio.Semaphore(ASIDE_LIMIT)
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, request: Request) -> Entry[Request, Answer]:
        """Queue a request and return the future of its answer.

        The future fails with Overloaded when the deadline passes, with DatabaseUnavailable when MySQL cannot serve, or
        with the exception that `send` raised for this request alone. Raises Overloaded when the queue is full.
        """
        if len(self._queue) >= self._queue_limit:
            raise Overloaded(f"{self._name}: {self._queue_limit} requests are waiting")
        loop = asyncio.get_running_loop()
        entry: Entry[Request, Answer] = Entry(request, loop.time() + self._deadline_s, loop)
        self._queue.append(entry)
        self._arrived.set()
        self._idle.clear()
        if self._task is None:
            self._start()
        if self._timer is None:
            self._timer = loop.call_later(DEADLINE_CHECK_S, self._fail_overdue)
        return entry

    async def drain(self) -> None:
        """Wait until every queued request has its answer, then stop."""
        await self._idle.wait()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)
        self._task.add_done_callback(self._restart)

    def _restart(self, task: "asyncio.Task[None]") -> None:
        """Start the batcher's task again after a defect in the batcher itself."""
        if task is self._task:  # not drained
            self._fail_after_defect(task, self._in_flight)
            self._start()

    def _fail_after_defect(self, task: "asyncio.Task[None]", entries: list[Entry[Request, Answer]]) -> None:
        """Log the exception of a task that should not have ended, and fail its entries: their outcome is unknown."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            log.error("batcher_failed", batcher=self._name, exc_info=error)
            self._fail(entries, DatabaseUnavailable(f"{self._name}: internal error"))

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            async with self._turn:
                self._in_flight = self._next_batch()
                call = asyncio.create_task(self._deliver(self._in_flight), name=f"{self._name} call")
                await asyncio.wait((call,), timeout=LONGEST_TURN_S)
            await call
            was_shared = len(self._in_flight) > 1
            self._in_flight = []
            for _ in range(LOOP_TURNS_BETWEEN_CALLS if was_shared else 0):
                await asyncio.sleep(0)
            if not self._queue:
                self._arrived.clear()
                self._set_idle_if_done()

    def _set_idle_if_done(self) -> None:
        """Wake `drain` once no request is queued or in flight."""
        if not (self._queue or self._in_flight or self._aside):
            self._idle.set()

    def _next_batch(self) -> list[Entry[Request, Answer]]:
        """Take the next batch from the queue. Requests of a lock group that is set aside join their group instead."""
        batch: list[Entry[Request, Answer]] = []
        while self._queue and len(batch) < self._batch_limit:
            entry = self._queue.popleft()
            if entry.done():
                continue
            if self._aside and (group := self._lock_group(entry.request)) in self._aside:
                self._aside[group].append(entry)
            else:
                batch.append(entry)
        return batch

    async def _deliver(self, batch: list[Entry[Request, Answer]], *, aside: bool = False) -> None:
        """Send a batch until each entry has an answer or an error, or is set aside."""
        send = self._send_aside if aside else self._send
        while batch := [entry for entry in batch if not entry.done()]:
            for entry in batch:
                entry.attempt += 1
            started_at = asyncio.get_running_loop().time()
            try:
                answers = await send([entry.request for entry in batch])
            except Exception as error:  # noqa: BLE001 each failure is answered, and the batcher continues
                if await self._should_send_again(batch, error, aside=aside):
                    continue
                return
            wait_s = started_at - batch[0].deadline + self._deadline_s
            self._metrics.observe_call(len(batch), wait_s, asyncio.get_running_loop().time() - started_at)
            for entry, answer in zip(batch, answers, strict=True):
                if not entry.done():
                    entry.set_result(answer)
            return

    async def _should_send_again(self, batch: list[Entry[Request, Answer]], error: Exception, *, aside: bool) -> bool:
        """Handle a failed call; return whether to send the same batch again."""
        self._metrics.count_failure(error)
        failure = self._classify(error)
        if failure in (Failure.DEFECT, Failure.UNKNOWN) and len(batch) > 1:
            await self._deliver_one_by_one(batch, error, aside=aside)
            return False
        if failure is Failure.DEFECT:
            self._fail(batch, error)
            return False
        attempt = max(entry.attempt for entry in batch)
        is_locked_out = failure is Failure.LOCKED and not aside
        is_abandoned = all(entry.done() for entry in batch)  # MySQL did not answer before their deadlines
        is_exhausted = attempt >= ATTEMPT_LIMIT and failure is not Failure.WAIT
        gives_up = failure is Failure.UNKNOWN or is_exhausted or is_abandoned
        if gives_up and not is_locked_out:
            log.error("database_unavailable", **self._log_fields(batch, error))
            self._fail(batch, DatabaseUnavailable(f"{self._name}: gave up after {attempt} attempts"))
            return False
        log.warning("call_retry", **self._log_fields(batch, error))
        if is_locked_out:
            self._set_aside(batch)
            return False
        pause_s = random.uniform(0, RETRY_JITTER_S * min(attempt, ATTEMPT_LIMIT))  # noqa: S311 jitter is no secret
        await asyncio.sleep(pause_s)
        return True

    async def _deliver_one_by_one(self, batch: list[Entry[Request, Answer]], error: Exception, *, aside: bool) -> None:
        """Send the requests of a failed batch one by one, so that one of them cannot fail the others."""
        log.warning("batch_split", **self._log_fields(batch, error))
        for entry in batch:
            entry.attempt = 0
            await self._deliver([entry], aside=aside)

    def _log_fields(self, batch: list[Entry[Request, Answer]], error: Exception) -> dict[str, Any]:
        """The fields of a failed call's log line."""
        return {
            "batcher": self._name,
            "requests": len(batch),
            "attempt": max(entry.attempt for entry in batch),
            "reason": self._reason(error),
            "errno": getattr(error, "errno", None),
            "error": type(error).__name__,
        }

    def _set_aside(self, batch: list[Entry[Request, Answer]]) -> None:
        """Deliver each lock group of a batch on a connection of its own, so that one lock delays one group only."""
        for entry in batch:
            group = self._lock_group(entry.request)
            if group not in self._aside:
                entries = self._aside[group] = []
                task = asyncio.create_task(self._run_aside(group), name=f"{self._name} aside")
                self._aside_tasks.add(task)
                task.add_done_callback(partial(self._end_aside, entries))
            entry.attempt = 0
            self._aside[group].append(entry)

    async def _run_aside(self, group: Hashable) -> None:
        """Deliver the requests of one lock group until none is left; then send the group with the others again."""
        try:
            async with self._aside_slots:
                while entries := self._aside[group][: self._batch_limit]:
                    await self._deliver(entries, aside=True)
                    del self._aside[group][: len(entries)]
        finally:
            # Here and not in the callback, before which another request could join the group: nobody would answer it.
            del self._aside[group]

    def _end_aside(self, entries: list[Entry[Request, Answer]], task: "asyncio.Task[None]") -> None:
        """Forget the task of a lock group. After a defect, the entries that still wait fail."""
        self._aside_tasks.discard(task)
        self._fail_after_defect(task, entries)
        self._set_idle_if_done()

    def _fail_overdue(self) -> None:
        """Fail the entries whose deadline has passed, and check again in DEADLINE_CHECK_S while any are left."""
        now = asyncio.get_running_loop().time()
        waiting = chain(self._in_flight, *self._aside.values())
        overdue = [entry for entry in waiting if entry.deadline <= now]
        while self._queue and self._queue[0].deadline <= now:
            overdue.append(self._queue.popleft())
        if unanswered := sum(not entry.done() for entry in overdue):
            log.warning("deadline_passed", batcher=self._name, requests=unanswered)
        self._fail(overdue, Overloaded(f"{self._name}: no answer within {self._deadline_s} s"))
        self._metrics.observe_queue(len(self._queue))
        self._timer = None
        if self._queue or self._in_flight or self._aside:
            self._timer = asyncio.get_running_loop().call_later(DEADLINE_CHECK_S, self._fail_overdue)

    @staticmethod
    def _fail(entries: Iterable[Entry[Request, Answer]], error: Exception) -> None:
        for entry in entries:
            if not entry.done():
                entry.set_exception(error)
