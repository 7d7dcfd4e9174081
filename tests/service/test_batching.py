"""The batcher, with send functions that behave as a database may."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.batching import ATTEMPT_LIMIT, Batcher, Failure
from service.errors import DatabaseUnavailable, Overloaded
from tests.support import PATIENCE_S, eventually_async


class SendError(Exception):
    """An error with the reaction that it needs."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


class Database:
    """A stand-in for the database: it records every batch, and can be paused or made to fail.

    fails  returns the error for a batch, or None
    """

    def __init__(self, fails: Callable[[list[str]], BaseException | None] = lambda _batch: None) -> None:
        self.batches: list[list[str]] = []
        self.opened = asyncio.Event()
        self.opened.set()
        self.in_flight = 0
        self.most_in_flight = 0
        self._fails = fails

    async def send(self, batch: list[str]) -> list[str]:
        """Answer every request of a batch, or raise its error."""
        self.batches.append(list(batch))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.opened.wait()
            await asyncio.sleep(0)
            if error := self._fails(batch):
                raise error
            return [answer_to(request) for request in batch]
        finally:
            self.in_flight -= 1

    async def wait_for_batches(self, number: int) -> None:
        """Return when so many batches have been sent."""
        await eventually_async(lambda: len(self.batches) >= number)


def answer_to(request: str) -> str:
    """The answer to a request."""
    return f"answer to {request}"


def batcher_of(send: Callable[[list[str]], Awaitable[list[str]]], **settings: Any) -> Batcher[str, str]:
    """Create a batcher; a request's first letter is its lock group."""
    usual: dict[str, Any] = {"reason": str, "batch_limit": 100, "queue_limit": 1000, "deadline_s": PATIENCE_S}

    def classify(error: BaseException) -> Failure:
        return error.failure if isinstance(error, SendError) else Failure.DEFECT

    def lock_group(request: str) -> Hashable:
        return ord(request[0])

    return Batcher("requests", send, classify, lock_group=lock_group, **usual | settings)


async def results(*futures: "asyncio.Future[str]") -> list[Any]:
    """The answers and errors of requests, in order."""
    async with asyncio.timeout(PATIENCE_S):
        return await asyncio.gather(*futures, return_exceptions=True)


def fail_while(failure: Failure, times: int) -> Callable[[list[str]], BaseException | None]:
    """Fail the next so many batches."""
    remaining = iter(range(times))
    return lambda _batch: SendError(failure) if next(remaining, None) is not None else None


def fail_with(failure: Failure, request: str) -> Callable[[list[str]], BaseException | None]:
    """Fail every batch with this request."""
    return lambda batch: SendError(failure) if request in batch else None


async def test_a_request_to_an_idle_batcher_is_sent_at_once_and_alone() -> None:
    database = Database()
    batcher = batcher_of(database.send)
    assert await results(batcher.submit("a")) == ["answer to a"]
    assert database.batches == [["a"]]


async def test_requests_that_arrive_during_a_call_are_sent_together_in_order() -> None:
    database = Database()
    batcher = batcher_of(database.send)
    database.opened.clear()
    first = batcher.submit("a")
    await database.wait_for_batches(1)
    later = [batcher.submit(request) for request in "bcd"]
    database.opened.set()
    assert await results(first, *later) == [answer_to(request) for request in "abcd"]
    assert database.batches == [["a"], ["b", "c", "d"]]


async def test_only_one_call_is_in_flight_at_a_time() -> None:
    database = Database()
    batcher = batcher_of(database.send, batch_limit=7)

    async def ask(request: str) -> str:
        return await batcher.submit(request)

    requests = [str(number) for number in range(200)]
    assert await asyncio.gather(*map(ask, requests)) == [answer_to(request) for request in requests]
    assert database.most_in_flight == 1
    assert [request for batch in database.batches for request in batch] == requests


async def test_batchers_that_share_a_turn_send_one_call_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.batching.LONGEST_TURN_S", PATIENCE_S)
    database, turn = Database(), asyncio.Lock()
    batchers = [batcher_of(database.send, turn=turn, batch_limit=7) for _ in range(3)]
    requests = [str(number) for number in range(200)]
    answers = await results(*(batchers[number % 3].submit(request) for number, request in enumerate(requests)))
    assert answers == [answer_to(request) for request in requests]
    assert database.most_in_flight == 1
    await asyncio.gather(*(batcher.drain() for batcher in batchers))


async def test_a_call_that_takes_long_passes_the_turn_on() -> None:
    locked, free, turn = Database(), Database(), asyncio.Lock()
    waiting, other = batcher_of(locked.send, turn=turn), batcher_of(free.send, turn=turn)
    locked.opened.clear()
    stuck = waiting.submit("a")
    await locked.wait_for_batches(1)
    assert await results(other.submit("b")) == ["answer to b"]
    assert not stuck.done()
    locked.opened.set()
    assert await results(stuck) == ["answer to a"]


async def test_a_batch_has_at_most_batch_limit_requests() -> None:
    database = Database()
    batcher = batcher_of(database.send, batch_limit=3)
    await results(*(batcher.submit(request) for request in "abcdefgh"))
    assert [len(batch) for batch in database.batches] == [3, 3, 2]


async def test_a_full_queue_refuses_at_once_and_accepts_requests_when_there_is_room() -> None:
    database = Database()
    batcher = batcher_of(database.send, queue_limit=2)
    database.opened.clear()
    accepted = [batcher.submit("a")]
    await database.wait_for_batches(1)
    accepted += [batcher.submit("b"), batcher.submit("c")]
    with pytest.raises(Overloaded):
        batcher.submit("d")
    database.opened.set()
    await results(*accepted)
    assert await results(batcher.submit("e")) == ["answer to e"]
    assert database.batches == [["a"], ["b", "c"], ["e"]]


async def test_a_request_whose_deadline_passes_in_the_queue_fails_at_once_and_is_never_sent() -> None:
    database = Database()
    batcher = batcher_of(database.send, deadline_s=0.1)
    database.opened.clear()
    with capture_logs() as lines:
        first = batcher.submit("a")
        await database.wait_for_batches(1)
        queued = batcher.submit("b")
        assert [type(result) for result in await results(first, queued)] == [Overloaded, Overloaded]
    assert {line["event"] for line in lines} == {"deadline_passed"}
    assert sum(line["requests"] for line in lines) == 2
    database.opened.set()
    await batcher.drain()
    assert database.batches == [["a"]]


async def test_a_request_whose_deadline_passes_in_flight_fails_at_once_and_its_answer_is_dropped() -> None:
    database = Database()
    batcher = batcher_of(database.send, deadline_s=0.1)
    database.opened.clear()
    late = batcher.submit("a")
    (result,) = await results(late)
    assert isinstance(result, Overloaded)
    assert database.in_flight == 1
    with capture_logs() as lines:
        database.opened.set()
        await batcher.drain()
    assert lines == []


async def test_a_cancelled_request_is_not_sent() -> None:
    database = Database()
    batcher = batcher_of(database.send)
    database.opened.clear()
    first = batcher.submit("a")
    await database.wait_for_batches(1)
    gone, stays = batcher.submit("b"), batcher.submit("c")
    gone.cancel()
    database.opened.set()
    await results(first, stays)
    assert database.batches == [["a"], ["c"]]


async def test_nothing_is_sent_when_every_request_is_cancelled() -> None:
    database = Database()
    batcher = batcher_of(database.send)
    for request in "abc":
        batcher.submit(request).cancel()
    await batcher.drain()
    assert database.batches == []


async def test_a_request_cancelled_in_flight_does_not_disturb_the_others() -> None:
    database = Database()
    batcher = batcher_of(database.send)
    database.opened.clear()
    gone, stays = batcher.submit("a"), batcher.submit("b")
    await database.wait_for_batches(1)
    gone.cancel()
    database.opened.set()
    assert await results(stays) == ["answer to b"]


@pytest.mark.parametrize(
    ("failure", "failures"),
    [*((Failure.RETRY, number) for number in range(1, ATTEMPT_LIMIT)), (Failure.WAIT, 2 * ATTEMPT_LIMIT)],
)
async def test_a_batch_that_failed_with_retry_or_wait_is_sent_again_unchanged(failure: Failure, failures: int) -> None:
    database = Database(fail_while(failure, failures))
    batcher = batcher_of(database.send)
    with capture_logs() as lines:
        answers = await results(*(batcher.submit(request) for request in "abc"))
    assert answers == [answer_to(request) for request in "abc"]
    assert database.batches == [["a", "b", "c"]] * (failures + 1)
    assert [line["event"] for line in lines] == ["call_retry"] * failures


async def test_a_batch_fails_after_three_attempts() -> None:
    database = Database(fail_while(Failure.RETRY, 3))
    batcher = batcher_of(database.send)
    with capture_logs() as lines:
        answers = await results(batcher.submit("a"), batcher.submit("b"))
    assert [type(answer) for answer in answers] == [DatabaseUnavailable, DatabaseUnavailable]
    assert database.batches == [["a", "b"]] * 3
    assert [line["event"] for line in lines] == ["call_retry"] * 2 + ["database_unavailable"]
    assert (lines[-1]["reason"], lines[-1]["requests"]) == ("RETRY", 2)
    assert await results(batcher.submit("c")) == ["answer to c"]


@pytest.mark.parametrize("failure", [Failure.RETRY, Failure.WAIT])
async def test_a_failed_call_whose_requests_are_overdue_is_logged_and_not_repeated(failure: Failure) -> None:
    database = Database(fail_while(failure, 1))
    batcher = batcher_of(database.send, deadline_s=0.1)
    database.opened.clear()
    await results(batcher.submit("a"))
    with capture_logs() as lines:
        database.opened.set()
        await batcher.drain()
    assert database.batches == [["a"]]
    assert [line["event"] for line in lines] == ["database_unavailable"]


async def test_a_retry_leaves_out_cancelled_requests() -> None:
    database = Database(fail_while(Failure.RETRY, 1))
    batcher = batcher_of(database.send)
    database.opened.clear()
    gone, stays = batcher.submit("a"), batcher.submit("b")
    await database.wait_for_batches(1)
    gone.cancel()
    database.opened.set()
    assert await results(stays) == ["answer to b"]
    assert database.batches == [["a", "b"], ["b"]]


async def test_a_request_that_waited_for_retries_of_others_has_three_attempts() -> None:
    database = Database(fail_with(Failure.RETRY, "a"))
    batcher = batcher_of(database.send, batch_limit=1)
    first, second = await results(batcher.submit("a"), batcher.submit("b"))
    assert isinstance(first, DatabaseUnavailable)
    assert second == "answer to b"


@pytest.mark.parametrize(
    ("failure", "error"), [(Failure.DEFECT, SendError), (Failure.UNKNOWN, DatabaseUnavailable)], ids=str
)
async def test_any_other_failure_fails_one_request_of_the_batch(failure: Failure, error: type[Exception]) -> None:
    database = Database(fail_with(failure, "c"))
    batcher = batcher_of(database.send)
    answers = await results(*(batcher.submit(request) for request in "abcde"))
    assert isinstance(answers[2], error)
    assert answers[:2] + answers[3:] == [answer_to(request) for request in "abde"]
    assert database.batches == [["a", "b", "c", "d", "e"], ["a"], ["b"], ["c"], ["d"], ["e"]]


async def test_a_request_that_fails_alone_for_a_retryable_reason_is_retried() -> None:
    def fails(batch: list[str]) -> BaseException | None:
        if len(batch) > 1:
            return SendError(Failure.UNKNOWN)
        return SendError(Failure.RETRY) if database.batches.count(batch) < ATTEMPT_LIMIT else None

    database = Database(fails)
    batcher = batcher_of(database.send)
    assert await results(batcher.submit("a"), batcher.submit("b")) == ["answer to a", "answer to b"]


async def test_a_lock_wait_timeout_fails_only_its_lock_group() -> None:
    database = Database(lambda batch: SendError(Failure.LOCKED) if any(r[0] == "b" for r in batch) else None)
    batcher = batcher_of(database.send)
    requests = ["a1", "b1", "c1", "a2", "b2", "c2"]
    answers = dict(zip(requests, await results(*map(batcher.submit, requests)), strict=True))
    assert [type(answers.pop(request)) for request in ("b1", "b2")] == [DatabaseUnavailable] * 2
    assert answers == {request: answer_to(request) for request in ("a1", "a2", "c1", "c2")}
    assert ["a1", "a2"] in database.batches
    assert ["c1", "c2"] in database.batches


@pytest.mark.parametrize("locked", ["a1", "m1", "z1"])
async def test_a_lock_group_that_waits_does_not_delay_the_others(locked: str) -> None:
    lock_wait_timed_out = asyncio.Event()

    async def send_aside(batch: list[str]) -> list[str]:
        if locked in batch:
            await lock_wait_timed_out.wait()
            raise SendError(Failure.LOCKED)
        return [answer_to(request) for request in batch]

    batcher = batcher_of(Database(fail_with(Failure.LOCKED, locked)).send, send_aside=send_aside)
    stalled, *others = map(batcher.submit, [locked, "b1", "n1", "y1"])
    assert await results(*others) == ["answer to b1", "answer to n1", "answer to y1"]
    assert not stalled.done()
    lock_wait_timed_out.set()
    (answer,) = await results(stalled)
    assert isinstance(answer, DatabaseUnavailable)


@pytest.mark.parametrize("turns", range(6))
async def test_a_request_that_is_taken_from_the_queue_while_its_lock_group_ends_is_answered(turns: int) -> None:
    """The group ends so many turns of the event loop later than the call after which the request is taken."""
    database, aside = Database(fail_while(Failure.LOCKED, 1)), Database()
    aside.opened.clear()

    async def send_aside(batch: list[str]) -> list[str]:
        answers = await aside.send(batch)
        for _ in range(turns):
            await asyncio.sleep(0)
        return answers

    batcher = batcher_of(database.send, send_aside=send_aside)
    requests = [batcher.submit("a1")]
    await aside.wait_for_batches(1)
    database.opened.clear()
    requests.append(batcher.submit("b1"))
    await database.wait_for_batches(2)
    requests.append(batcher.submit("a2"))
    aside.opened.set()
    database.opened.set()
    assert await results(*requests) == ["answer to a1", "answer to b1", "answer to a2"]
    async with asyncio.timeout(PATIENCE_S):
        await batcher.drain()


async def test_draining_answers_every_queued_request() -> None:
    database = Database()
    batcher = batcher_of(database.send, batch_limit=2)
    futures = [batcher.submit(request) for request in "abcde"]
    async with asyncio.timeout(PATIENCE_S):
        await batcher.drain()
    assert [future.result() for future in futures] == [answer_to(request) for request in "abcde"]


async def test_draining_an_idle_batcher_returns_at_once() -> None:
    async with asyncio.timeout(PATIENCE_S):
        await batcher_of(Database().send).drain()


async def test_a_drained_batcher_can_be_used_and_drained_again() -> None:
    database = Database()
    batcher = batcher_of(database.send)
    async with asyncio.timeout(PATIENCE_S):
        for request in "ab":
            future = batcher.submit(request)
            await batcher.drain()
            assert future.result() == answer_to(request)


async def send_too_few(_batch: list[str]) -> list[str]:
    """A defect: returns too few answers."""
    return []


async def send_cancelled(_batch: list[str]) -> list[str]:
    """A defect: the call is cancelled from within."""
    raise asyncio.CancelledError


@pytest.mark.parametrize("defect", [send_too_few, send_cancelled])
async def test_a_defect_in_a_batch_is_logged_and_the_batcher_continues(
    defect: Callable[[list[str]], Awaitable[list[str]]],
) -> None:
    database = Database()

    async def send(batch: list[str]) -> list[str]:
        return await (defect if "defect" in batch else database.send)(batch)

    batcher = batcher_of(send, batch_limit=1)
    with capture_logs() as lines:
        victim, queued = await results(batcher.submit("defect"), batcher.submit("a"))
    assert isinstance(victim, DatabaseUnavailable)
    assert queued == "answer to a"
    assert "batcher_failed" in [line["event"] for line in lines]
    assert await results(batcher.submit("b")) == ["answer to b"]
    async with asyncio.timeout(PATIENCE_S):
        await batcher.drain()


@pytest.mark.parametrize("defect", [send_too_few, send_cancelled])
async def test_a_defect_in_a_lock_group_that_is_set_aside_is_logged_and_the_group_continues(
    defect: Callable[[list[str]], Awaitable[list[str]]],
) -> None:
    database = Database(fail_while(Failure.LOCKED, 1))
    sends = iter([defect])

    async def send_aside(batch: list[str]) -> list[str]:
        return await next(sends, database.send)(batch)

    batcher = batcher_of(database.send, send_aside=send_aside)
    with capture_logs() as lines:
        (victim,) = await results(batcher.submit("a1"))
    assert isinstance(victim, DatabaseUnavailable)
    assert "batcher_failed" in [line["event"] for line in lines]
    assert await results(batcher.submit("a2"), batcher.submit("b1")) == ["answer to a2", "answer to b1"]
    async with asyncio.timeout(PATIENCE_S):
        await batcher.drain()
