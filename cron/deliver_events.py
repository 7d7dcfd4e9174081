"""Deliver events to the shop's URLs: signed, in order for each order, until the minute ends.

MySQL decides which events a receiver gets next, when a failed one is sent again, and when it is set aside.
"""

import asyncio
import math
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import aiohttp
import msgspec
import structlog
from standardwebhooks import Webhook

from cron import job
from service.database import Connection, ResultSets, rows_of
from service.requests import encode
from service.rows import Event

BATCH_LIMIT = 500
REQUESTS_AT_A_TIME = 50  # per receiver
ANSWER_TIMEOUT_S = 10
ANSWER_LIMIT_BYTES = 16 * 1024
REPORT_TIME_S = 1  # what is left of the minute when the last answer may come

log = structlog.get_logger()


class Receiver(NamedTuple):
    """A row of list_event_receivers."""

    receiver_id: int
    url: str
    secret: str
    previous_secret: str | None


class Reported(NamedTuple):
    """The row of report_deliveries."""

    accepted: int
    failed: int
    set_aside: int
    state: str


class Result(msgspec.Struct, omit_defaults=True):
    """An element of report_deliveries: the status of the answer, or why there is none."""

    position: int
    status: int | None = None
    failure: str | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the next event of the order may be sent."""
        return self.status is not None and 200 <= self.status <= 299


class Deliveries:
    """Sends the events of all receivers.

    ends_at  Unix time at which the last answer may come
    """

    def __init__(self, connection: Connection, http: aiohttp.ClientSession, ends_at: float) -> None:
        self._connection = connection
        self._is_free = asyncio.Lock()
        self._http = http
        self._ends_at = ends_at
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._counts: Counter[tuple[int, str]] = Counter()

    async def begin(self) -> None:
        """Begin to send what there is, to each receiver that is not being sent events already."""
        rows, *_ = await self._call("list_event_receivers")
        for receiver in rows_of(Receiver, rows):
            task = self._under_way.get(receiver.receiver_id)
            if task is None or task.done():
                if task is not None:
                    task.result()
                self._under_way[receiver.receiver_id] = asyncio.create_task(self._send_all(receiver))

    async def end(self) -> None:
        """Wait until everything is sent and reported that may be, and log what each receiver answered."""
        await asyncio.gather(*self._under_way.values())
        for receiver_id in self._under_way:
            accepted, failed = (self._counts[receiver_id, kind] for kind in ("accepted", "failed"))
            if accepted or failed:
                log.info("events_delivered", receiver_id=receiver_id, accepted=accepted, failed=failed)

    async def cancel(self) -> None:
        """Stop whatever has not ended, as after an error: the next run sends again what was not reported."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _send_all(self, receiver: Receiver) -> None:
        while time.time() < self._ends_at:
            rows, through, *_ = await self._call("list_deliveries", receiver.receiver_id, BATCH_LIMIT)
            ((through_position, *_),) = through
            if through_position is None:
                return
            results = await self._send_batch(receiver, rows_of(Event, rows))
            report, *_ = await self._call(
                "report_deliveries", receiver.receiver_id, through_position, msgspec.json.encode(results).decode()
            )
            for reported in rows_of(Reported, report):
                self._count(receiver, reported)

    async def _send_batch(self, receiver: Receiver, events: list[Event]) -> list[Result]:
        """Send events: those of one order one after another, until one is not accepted."""
        signers = [Webhook(secret) for secret in (receiver.secret, receiver.previous_secret) if secret is not None]
        events.sort(key=lambda event: (_sequence_of(event), event.position))
        sequences = iter([list(same) for _, same in groupby(events, _sequence_of)])
        results: list[Result] = []

        async def send_sequences() -> None:
            for sequence in sequences:
                for event in sequence:
                    result = await self._send(receiver.url, signers, event)
                    if result is not None:
                        results.append(result)
                    if result is None or not result.is_accepted:
                        break

        await asyncio.gather(*(send_sequences() for _ in range(REQUESTS_AT_A_TIME)))
        return results

    async def _send(self, url: str, signers: list[Webhook], event: Event) -> Result | None:
        """Send one event. None: it was not sent, or cut off by the end of the minute, which is no failure."""
        timeout_s = min(ANSWER_TIMEOUT_S, self._ends_at - time.time())
        if timeout_s <= 0:
            return None
        body = encode(event.document())
        message_id, now = f"event_{event.position}", datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(message_id, now, body.decode()) for signer in signers),
        }
        # Without the threshold, aiohttp would round the time up to whole seconds.
        timeout = aiohttp.ClientTimeout(total=timeout_s, ceil_threshold=ANSWER_TIMEOUT_S)
        try:
            async with self._http.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                # A connection whose answer is read to its end is used again; a longer answer closes it.
                await response.content.read(ANSWER_LIMIT_BYTES)
        except TimeoutError as error:
            return None if timeout_s < ANSWER_TIMEOUT_S else _failed(event, error)
        except aiohttp.ClientError as error:
            return _failed(event, error)
        return Result(event.position, status=response.status)

    def _count(self, receiver: Receiver, reported: Reported) -> None:
        self._counts[receiver.receiver_id, "accepted"] += reported.accepted
        self._counts[receiver.receiver_id, "failed"] += reported.failed
        if reported.set_aside:
            log.error("events_set_aside", receiver_id=receiver.receiver_id, events=reported.set_aside)
        if reported.state == "gone":
            log.error("event_receiver_gone", receiver_id=receiver.receiver_id)

    async def _call(self, procedure: str, *arguments: int | str) -> ResultSets:
        async with self._is_free:
            return await self._connection.call(procedure, *arguments)


def _sequence_of(event: Event) -> int:
    """Return a number that the events of one order share; an event without an order has one of its own."""
    return event.order_id or -event.position


def _failed(event: Event, error: Exception) -> Result:
    return Result(event.position, failure=f"{type(error).__name__} {error}".strip())


async def deliver(connection: Connection, once: bool) -> bool:
    """Look for events every second, and send them. The receivers do not wait for each other."""
    ends_at = math.inf if once else job.end_of_this_minute() - REPORT_TIME_S
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": "flash-sale-checkout"},
        auto_decompress=False,
    ) as http:
        deliveries = Deliveries(connection, http, ends_at)
        try:
            async for _ in job.seconds_of_this_minute(once):
                await deliveries.begin()
            await deliveries.end()
        finally:
            await deliveries.cancel()
    return True


if __name__ == "__main__":
    job.run("deliver_events", __doc__, deliver)
