"""Events: how fast the feed is read, how soon a reader has an event, and how fast events are delivered."""

import asyncio
import os
import random
import statistics
import sys
import time
from collections import defaultdict

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from bench.contenders import SERVICE
from bench.load import Load, LoadError
from bench.runner import Runner
from bench.targets import ScenarioResult, Target
from stack.process import free_port
from stack.servers import PROJECT

EVENTS_PER_ORDER = 2  # order.created and order.paid
PAGE = 1_000
WAIT_S = 30  # the longest that the service allows
TIMEOUT_S = 60
ORDERS_PER_SECOND = 10  # those whose delay is measured
ANSWER_TIME_S = 0.01
FLOW = Load("flow")


class Event(msgspec.Struct):
    """What an event of the feed and of a delivery has in common with all others."""

    position: int
    order_id: int | None


class Page(msgspec.Struct):
    """An answer to GET /api/events."""

    items: list[Event]
    next: int


def event_feed(runner: Runner) -> ScenarioResult:
    """Reads of 100,000 events, and how soon a waiting reader has an event, without load and beside whole flows."""
    rates: list[float] = []
    idle_s: list[float] = []
    loaded_s: list[float] = []
    parameters = runner.parameters
    with runner.running([SERVICE]) as gunicorns:
        url = gunicorns[SERVICE.name].url
        for number in range(1, parameters.rounds + 1):
            runner.reset(SERVICE)
            runner.product.pay(parameters.events // EVENTS_PER_ORDER)
            rates.append(uvloop.run(_read_from_start(url, parameters.events)))
            runner.reset(SERVICE)
            idle_s += uvloop.run(_measure_delays(url, parameters.seconds))
            load = runner.wrk.start(url, FLOW, parameters.seconds)
            loaded_s += uvloop.run(_measure_delays(url, parameters.seconds))
            if errors := runner.wrk.finish(load).errors(FLOW.expected):
                raise LoadError(f"flows beside a reader of events: {errors}")
            runner.check()
            print(
                f"event_feed: round {number} of {parameters.rounds}: {rates[-1]:,.0f} events/s read from the start",
                flush=True,
            )
    targets = [
        Target("events/s read from the start: ≥ 10,000", statistics.median(rates), 10_000),
        Target("an event reaches a waiting reader after ≤ 1 s", max(idle_s + loaded_s), 1, at_most=True),
    ]
    notes = [
        _rates_note(f"{parameters.events:,} events read from the start", rates),
        _delays_note("without load", idle_s),
        _delays_note("beside whole flows", loaded_s),
    ]
    return ScenarioResult([], targets, notes)


def event_delivery(runner: Runner) -> ScenarioResult:
    """Deliveries of events to one receiver, which answers after 10 ms."""
    orders = runner.parameters.events // EVENTS_PER_ORDER // 10
    rates = []
    for number in range(1, runner.parameters.rounds + 1):
        runner.reset(SERVICE)
        rates.append(uvloop.run(_deliver(runner, orders)))
        runner.check()
        print(
            f"event_delivery: round {number} of {runner.parameters.rounds}: {rates[-1]:,.0f} events/s delivered",
            flush=True,
        )
    target = Target("events/s delivered: ≥ 1,000", statistics.median(rates), 1_000)
    return ScenarioResult([], [target], [_rates_note(f"{orders * EVENTS_PER_ORDER:,} events delivered", rates)])


def _rates_note(events: str, rates: list[float]) -> str:
    return f"{events}: {statistics.median(rates):,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f})"


def _delays_note(condition: str, delays_s: list[float]) -> str:
    return (
        f"from the answer to an order until a waiting reader has its event, {condition}: median"
        f" {statistics.median(delays_s):.2f} s, maximum {max(delays_s):.2f} s, {len(delays_s)} orders"
    )


async def _read(http: aiohttp.ClientSession, after: int, wait_s: int = 0) -> Page:
    """Read a page of the feed; raises LoadError if a position is missing in it, or comes twice."""
    async with http.get(f"/api/events?after={after}&limit={PAGE}&wait_s={wait_s}", raise_for_status=True) as response:
        page = msgspec.json.decode(await response.read(), type=Page)
    positions = [event.position for event in page.items]
    first = after + 1 if after or not positions else positions[0]
    if positions != list(range(first, first + len(positions))):
        raise LoadError(f"the page of events after {after} has the positions {positions}")
    return page


async def _read_from_start(url: str, events: int) -> float:
    """Read so many events, which have no positions yet, page by page; returns how many per second."""
    async with aiohttp.ClientSession(url) as http:
        started_at, after, found = time.monotonic(), 0, 0
        while items := (page := await _read(http, after)).items:
            after, found = page.next, found + len(items)
        if found != events:
            raise LoadError(f"the feed has {found} events instead of {events}")
        return found / (time.monotonic() - started_at)


async def _measure_delays(url: str, seconds: int) -> list[float]:
    """Make orders, and return how long after the answer to each of them a waiting reader had its event, in s."""
    answered_at: dict[int, float] = {}
    seen_at: defaultdict[int | None, asyncio.Future[float]] = defaultdict(asyncio.get_running_loop().create_future)

    async def read_forever() -> None:
        after = 0
        while True:
            page = await _read(http, after, WAIT_S)
            for event in page.items:
                if not seen_at[event.order_id].done():
                    seen_at[event.order_id].set_result(time.monotonic())
            after = page.next

    async def post(target: str, document: dict[str, int]) -> dict[str, int]:
        async with http.post(target, json=document, raise_for_status=True) as response:
            answer: dict[str, int] = await response.json()
            return answer

    async with aiohttp.ClientSession(url) as http, asyncio.TaskGroup() as group, asyncio.timeout(seconds + TIMEOUT_S):
        reading = group.create_task(read_forever())
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            hold = await post("/api/holds", {"product_id": 1, "quantity": 1})
            order = await post("/api/orders", {"hold_id": hold["hold_id"]})
            answered_at[order["order_id"]] = time.monotonic()
            # A random time, because the service reads the feed at regular times.
            await asyncio.sleep(random.uniform(0, 2 / ORDERS_PER_SECOND))  # noqa: S311
        # A reader may have an event before the buyer has the answer.
        delays_s = [max(0.0, await seen_at[order_id] - moment) for order_id, moment in answered_at.items()]
        reading.cancel()
    return delays_s


async def _deliver(runner: Runner, orders: int) -> float:
    """Deliver the events of so many orders; returns how many per second arrived.

    Raises LoadError unless each arrived once, those of an order by position.
    """
    moments: list[float] = []
    positions: defaultdict[int | None, list[int]] = defaultdict(list)

    async def receive(request: web.BaseRequest) -> web.Response:
        event = msgspec.json.decode(await request.read(), type=Event)
        moments.append(time.monotonic())
        positions[event.order_id].append(event.position)
        await asyncio.sleep(ANSWER_TIME_S)
        return web.Response(status=204)

    port = free_port()
    async with await asyncio.get_running_loop().create_server(web.Server(receive), "127.0.0.1", port):
        runner.product.execute("CALL create_event_receiver(%(url)s, NULL)", url=f"http://127.0.0.1:{port}/")
        runner.product.pay(orders)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cron.deliver_events", "--once"),
            cwd=PROJECT,
            env={**os.environ, "MYSQL_URL": str(runner.server.for_database(runner.product.name))},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    if process.returncode != 0:
        raise LoadError(f"cron.deliver_events failed: {output.decode()}")
    delivered = sorted(position for of_order in positions.values() for position in of_order)
    is_each_once = delivered == list(range(delivered[0], delivered[0] + orders * EVENTS_PER_ORDER))
    if not is_each_once or any(of_order != sorted(of_order) for of_order in positions.values()):
        raise LoadError("not every event was delivered once, those of an order by position")
    return (len(moments) - 1) / (moments[-1] - moments[0])
