"""The scenarios: what each measures, and the targets for its results.

Most scenarios are comparisons: they measure their cases in turn, and can also compare the service with that of another
commit. The others fill tables or call procedures directly, and measure the working tree only. Nearly all targets are
ratios of results of the same scenario, because other figures depend on the machine.
"""

import base64
import hashlib
import os
import secrets
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from bench import contenders
from bench.cluster import cluster
from bench.contenders import SERVICE
from bench.database import ProductDatabase
from bench.event_readers import waiting
from bench.events import event_delivery, event_feed
from bench.freshness import FreshnessChecker
from bench.hostile_connections import ConnectionCounts, attack
from bench.listeners import listening
from bench.load import Load, LoadError, Measurement
from bench.runner import Case, Result, Runner
from bench.targets import RevisionRatios, ScenarioResult, Target, rate_target
from bench.webhooks import write_events

USUAL_CONNECTIONS = 256
MANY_CONNECTIONS = 2048
SOLD_OUT_HOLDS = 10_000
BASKET = 10  # holds
MOST_PER_SECOND = 20_000  # more orders or payments than the service accepts
MOST_BASKETS_PER_SECOND = 6_000  # more orders of ten holds than the service accepts
PRODUCTS = 1_000
LISTENERS = 2_000
EVENT_READERS = 1_000
BATCH = 256
OLD_ROWS_DATABASE = "bench_old"
WORKER_LIMIT_MIB = 120
# The load while holds expire: about 3,000 holds per second, which leaves CPU time for the sweep.
MODERATE_LOAD = Load("hold", connections=64, delay_ms=20)
MAX_SWEEP_RATE = 60_000  # due holds per second beside that load, which has to end before the sweep does
SWEEP_TIMEOUT_S = 600
UNREACHED_LIMIT = "1000000/second"

HOT_HOLD = Load("hold")


@dataclass(frozen=True)
class Comparison:
    """Cases to measure in turn; `evaluate` derives the scenario's result from theirs, which have the same order."""

    cases: Sequence[Case]
    evaluate: Callable[[list[Result]], ScenarioResult] = ScenarioResult


def hot_hold(_runner: Runner) -> Comparison:
    """256 connections hold units of one product."""
    baselines = (
        *(contenders.CLIENT_SIDE, contenders.ONE_ROW_PER_UNIT, contenders.ONE_CALL_THREADS),
        *(contenders.ONE_CALL_ASYNCIO, contenders.REDIS_ONLY, contenders.EMPTY),
    )

    def evaluate(results: list[Result]) -> ScenarioResult:
        service, client_side, one_row_per_unit, threads, _asyncio, redis_only, _empty = results
        p99_by_p50 = service.p99_ms / service.p50_ms
        targets = [
            *(rate_target(service, 15, client_side), rate_target(service, 8, one_row_per_unit)),
            *(rate_target(service, 16, threads), rate_target(service, 0.9, redis_only)),
            Target("service: p99 ≤ 2.5 x its p50", p99_by_p50, 2.5, at_most=True, is_valid=not service.errors),
        ]
        return ScenarioResult(results, targets)

    return Comparison([Case(contender.name, contender, HOT_HOLD) for contender in (SERVICE, *baselines)], evaluate)


def single_connection(_runner: Runner) -> Comparison:
    """One connection holds units, so that no two requests share a call."""
    load = replace(HOT_HOLD, connections=1)
    baselines = (contenders.ONE_CALL_THREADS, contenders.ONE_CALL_ASYNCIO)

    return Comparison([Case(contender.name, contender, load) for contender in (SERVICE, *baselines)])


def sold_out(_runner: Runner) -> Comparison:
    """256 connections try to hold a product whose units are all held."""

    def hold_everything(database: ProductDatabase) -> None:
        database.reset(stock=SOLD_OUT_HOLDS)
        database.hold(SOLD_OUT_HOLDS)

    def evaluate(results: list[Result]) -> ScenarioResult:
        hot_hold, sold_out = results
        return ScenarioResult(results, [rate_target(sold_out, 0.95, hot_hold)])

    refused = replace(HOT_HOLD, expected=frozenset({"409"}))
    cases = [Case("hot hold", SERVICE, HOT_HOLD), Case("sold out", SERVICE, refused, prepare=hold_everything)]
    return Comparison(cases, evaluate)


def whole_flow(_runner: Runner) -> Comparison:
    """Hold, order and payment; a rate counts whole flows."""

    def evaluate(results: list[Result]) -> ScenarioResult:
        service, client_side = results
        return ScenarioResult(results, [rate_target(service, 9, client_side)])

    flow = Load("flow")
    return Comparison(
        [Case(contender.name, contender, flow) for contender in (SERVICE, contenders.CLIENT_SIDE)], evaluate
    )


def orders(runner: Runner) -> Comparison:
    """Orders alone: of one hold, and of ten."""
    bodies = {size: runner.folder / f"orders-of-{size}" for size in (1, BASKET)}

    def hold_and_write(size: int, database: ProductDatabase) -> None:
        hold_ids = _hold(runner, database, MOST_BASKETS_PER_SECOND if size > 1 else MOST_PER_SECOND, size)
        baskets = [hold_ids[first : first + size] for first in range(0, len(hold_ids), size)]
        # Releases before orders of several holds know `hold_id` only.
        lines = [f'{{"hold_ids":{basket}}}\n' if size > 1 else f'{{"hold_id":{basket[0]}}}\n' for basket in baskets]
        bodies[size].write_text("".join(lines))

    def evaluate(results: list[Result]) -> ScenarioResult:
        one, ten = results
        is_valid = not one.errors and not ten.errors
        text = f"an order of {BASKET} holds costs ≤ 3 x an order of one"
        return ScenarioResult(results, [Target(text, one.rate / ten.rate, 3, at_most=True, is_valid=is_valid)])

    cases = [
        Case(f"orders of {size}", SERVICE, Load("order", file=str(file)), prepare=partial(hold_and_write, size))
        for size, file in bodies.items()
    ]
    return Comparison(cases, evaluate)


def payments(runner: Runner) -> Comparison:
    """Payments alone, each of an order that is pending."""
    bodies = runner.folder / "payments"

    def order_and_write(database: ProductDatabase) -> None:
        order_ids = database.order(_hold(runner, database, MOST_PER_SECOND))
        event = '{{"idempotency_key":"{}","order_id":{},"status":"success"}}\n'
        bodies.write_text("".join(event.format(uuid.uuid4(), order_id) for order_id in order_ids))

    return Comparison([Case("service", SERVICE, Load("payment", file=str(bodies)), prepare=order_and_write)])


def _hold(runner: Runner, database: ProductDatabase, requests_per_second: int, per_request: int = 1) -> list[int]:
    """Make the holds of a round's requests, so many per request; returns their ids."""
    database.reset()
    database.hold(runner.parameters.seconds * requests_per_second * per_request)
    return database.ids_of("holds")


def product_read(_runner: Runner) -> Comparison:
    """256 connections read one product, while the freshness of its reads is checked."""
    checkers: list[FreshnessChecker] = []

    def check_freshness(url: str, database: ProductDatabase) -> "Iterator[None]":
        checkers.append(FreshnessChecker(url, partial(database.hold, 1)))
        with checkers[-1].run():
            yield

    def evaluate(results: list[Result]) -> ScenarioResult:
        service, empty = results
        reads = sum(checker.reads_after_hold for checker in checkers)
        oldest_s = max(checker.oldest_s for checker in checkers)
        note = (
            f"all {reads} reads after a hold through the service showed it;"
            f" holds made in MySQL directly showed after {oldest_s:.2f} s at most"
        )
        return ScenarioResult(results, [rate_target(service, 0.75, empty)], [note])

    load = Load("read")
    cases = [
        Case("service", SERVICE, load, background=contextmanager(check_freshness)),
        Case("empty GET", contenders.EMPTY, load),
    ]
    return Comparison(cases, evaluate)


def mix(_runner: Runner) -> Comparison:
    """Nine product reads per hold."""
    load = Load("mix")
    return Comparison([Case(contender.name, contender, load) for contender in (SERVICE, contenders.CLIENT_SIDE)])


def many_products(_runner: Runner) -> Comparison:
    """Holds of 1,000 products, evenly distributed, beside holds of one product."""
    distributed = replace(HOT_HOLD, products=PRODUCTS)
    cases = [Case("one product", SERVICE, HOT_HOLD), Case("1,000 products", SERVICE, distributed)]

    def evaluate(results: list[Result]) -> ScenarioResult:
        one, thousand = results
        return ScenarioResult(results, [rate_target(thousand, 0.6, one)])

    return Comparison(cases, evaluate)


def many_connections(runner: Runner) -> Comparison:
    """Holds of one product from few connections to thousands; also the memory that the servers use."""
    levels = sorted({*runner.parameters.connections, USUAL_CONNECTIONS, MANY_CONNECTIONS})
    labels = {level: f"{level:,} connections" for level in levels}
    # A service of its own for each level, so that its memory does not depend on the levels before.
    cases = [
        Case(label, replace(SERVICE, name=label), replace(HOT_HOLD, connections=level))
        for level, label in labels.items()
    ]

    def evaluate(results: list[Result]) -> ScenarioResult:
        by_level = dict(zip(levels, results, strict=True))
        usual, many = by_level[USUAL_CONNECTIONS], by_level[MANY_CONNECTIONS]
        workers_mib = [memory.rss_mib for memory in many.memory if "worker" in memory.process]
        targets = [
            rate_target(many, 0.8, usual),
            Target(f"{many.label}: errors", sum(many.errors.values()), 0, at_most=True),
            Target(f"{many.label}: MiB per worker", max(workers_mib), WORKER_LIMIT_MIB, at_most=True),
        ]
        return ScenarioResult(results, targets)

    return Comparison(cases, evaluate)


def old_rows(runner: Runner) -> ScenarioResult:
    """Holds beside many old holds, orders and random keys, compared with empty tables."""
    rows = runner.parameters.old_rows
    database = ProductDatabase(runner.server, OLD_ROWS_DATABASE)
    database.reset()
    runner.databases[OLD_ROWS_DATABASE] = database
    try:
        print(f"old_rows: inserting {rows:,} holds, as many orders and keys …", flush=True)
        database.add_history(rows)
        with_old_rows = replace(SERVICE, name="service with old rows", database=OLD_ROWS_DATABASE)
        client_keys = replace(HOT_HOLD, keys="client")
        cases = [
            Case("empty tables", SERVICE, HOT_HOLD),
            Case(f"{rows:,} old rows, generated keys", with_old_rows, HOT_HOLD, _keep_rows, check_each_round=False),
            Case(
                f"{rows:,} old rows, random client keys", with_old_rows, client_keys, _keep_rows, check_each_round=False
            ),
        ]
        empty, generated, client = results = runner.compare("old_rows", cases)
        database.check()
    finally:
        del runner.databases[OLD_ROWS_DATABASE]
        database.drop()
    return ScenarioResult(results, [rate_target(generated, 0.85, empty), rate_target(client, 0.6, empty)])


def _keep_rows(_database: ProductDatabase) -> None:
    """Leave the database as it is."""


def expiry(runner: Runner) -> ScenarioResult:
    """Many holds fall due at once, first while new holds continue, then while none arrive."""
    usual = Result("holds while none expire", "hold", MODERATE_LOAD.connections, MODERATE_LOAD.expected)
    meanwhile = Result("holds while others expire", "hold", MODERATE_LOAD.connections, MODERATE_LOAD.expected)
    seconds = max(1, runner.parameters.due_holds // MAX_SWEEP_RATE)
    rates_under_load, rates_alone = [], []
    with runner.running([SERVICE]) as gunicorns:
        url = gunicorns[SERVICE.name].url
        for number in range(1, runner.parameters.rounds + 1):
            runner.reset(SERVICE)
            runner.wrk.run(url, MODERATE_LOAD, max(1, runner.parameters.warm_up_seconds))
            usual.rounds.append(runner.wrk.run(url, MODERATE_LOAD, runner.parameters.seconds))
            measurement, rate_under_load = _hold_during_sweep(runner, url, seconds)
            meanwhile.rounds.append(measurement)
            rates_under_load.append(rate_under_load)
            rates_alone.append(_hold_during_sweep(runner, None, seconds)[1])
            print(
                f"expiry: round {number} of {runner.parameters.rounds}: {rate_under_load:,.0f} due holds/s expire while"
                f" new holds continue, {rates_alone[-1]:,.0f} while none arrive; p99 of holds"
                f" {usual.rounds[-1].p99_ms:.1f} ms while none expire, {measurement.p99_ms:.1f} ms meanwhile",
                flush=True,
            )
    under_load, alone = statistics.median(rates_under_load), statistics.median(rates_alone)
    targets = [
        Target("due holds/s that expire while new holds continue: ≥ 33,000", under_load, 33_000),
        Target(
            "holds while others expire: p99 ≤ 3 x that while none expire",
            meanwhile.p99_ms / usual.p99_ms,
            3,
            at_most=True,
            is_valid=not meanwhile.errors and not usual.errors,
        ),
    ]
    note = (
        f"{runner.parameters.due_holds:,} due holds: {under_load:,.0f}/s expire while new holds continue,"
        f" {alone:,.0f}/s while none arrive"
    )
    return ScenarioResult([usual, meanwhile], targets, [note])


def _hold_during_sweep(runner: Runner, url: str | None, seconds: int) -> tuple[Measurement, float]:
    """Let the EVENT expire many due holds, while new holds arrive at `url` if there is one.

    Returns the measurement of the new holds, and the due holds that expired per second.
    """
    runner.product.set_event("DISABLE")
    runner.reset(SERVICE)
    runner.product.add_holds(runner.parameters.due_holds, ttl_s=-1)
    measurement = Measurement(0, 1.0, 0.0, 0.0, 0, {})
    load = runner.wrk.start(url, MODERATE_LOAD, seconds) if url else None
    runner.product.set_event("ENABLE")
    if load:
        measurement = runner.wrk.finish(load)
    rate = _wait_for_sweep(runner)
    runner.check()
    return measurement, rate


def _wait_for_sweep(runner: Runner) -> float:
    """Wait until all due holds have expired; returns how many expired per second, from the start of the first sweep.

    Raises LoadError after 10 minutes.
    """
    deadline = time.monotonic() + SWEEP_TIMEOUT_S
    expired = 0
    while expired < runner.parameters.due_holds:
        if time.monotonic() > deadline:
            raise LoadError(f"only {expired} due holds expired within {SWEEP_TIMEOUT_S} s")
        time.sleep(0.1)
        ((expired, seconds),) = runner.product.execute(
            "SELECT COALESCE(SUM(holds), 0), TIMESTAMPDIFF(MICROSECOND,"
            " MIN(swept_at - INTERVAL duration_ms * 1000 MICROSECOND), MAX(swept_at)) / 1000000 FROM sweeps"
        )
    return float(expired) / float(seconds)


def protections(runner: Runner) -> Comparison:
    """API keys, rate limits and signatures, each beside the service without them."""
    api_key, secret = secrets.token_hex(), "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    events = runner.folder / "events"
    write_events(events, secret)
    keys = (("API_KEYS", f"shop:{hashlib.sha256(api_key.encode()).hexdigest()}"),)
    limits = (("RATE_LIMIT_PER_KEY", UNREACHED_LIMIT), ("RATE_LIMIT_PER_ADDRESS", UNREACHED_LIMIT))
    with_keys = replace(SERVICE, name="service, API keys", settings=keys)
    with_limits = replace(SERVICE, name="service, API keys and rate limits", settings=keys + limits)
    with_signatures = replace(SERVICE, name="service, signatures", settings=(("WEBHOOK_SECRETS", secret),))
    hold = replace(HOT_HOLD, api_key=api_key)
    webhook = Load("webhook", expected=frozenset({"200", "202"}), file=str(events))
    cases = [
        *(Case(f"hold: {contender.name}", contender, hold) for contender in (SERVICE, with_keys, with_limits)),
        *(Case(f"webhook: {contender.name}", contender, webhook) for contender in (SERVICE, with_signatures)),
    ]
    return Comparison(cases)


def hostile_connections(_runner: Runner) -> Comparison:
    """Holds of one product beside 11,100 connections that send little, slowly, or garbage."""
    counts = ConnectionCounts()
    cases = [
        Case("hot hold", SERVICE, HOT_HOLD),
        Case("beside hostile connections", SERVICE, HOT_HOLD, background=lambda url, _database: attack(url, counts)),
    ]
    note = (
        f"hostile connections: {counts.silent:,} send nothing, {counts.slow_headers} send headers at one byte per"
        f" second, {counts.half_body} stop in the middle of a body, {counts.garbage} pipeline garbage every second"
    )

    def evaluate(results: list[Result]) -> ScenarioResult:
        alone, beside = results
        return ScenarioResult(results, [rate_target(beside, 0.8, alone)], [note])

    return Comparison(cases, evaluate)


def listeners(_runner: Runner) -> Comparison:
    """Holds of one product beside 2,000 listeners of its live stock stream."""
    rates: list[float] = []
    cases = [
        Case("hot hold", SERVICE, HOT_HOLD),
        Case("beside listeners", SERVICE, HOT_HOLD, background=lambda url, _database: listening(url, LISTENERS, rates)),
    ]

    def evaluate(results: list[Result]) -> ScenarioResult:
        alone, beside = results
        note = f"{LISTENERS:,} listeners received {statistics.median(rates):.1f} events per second each"
        return ScenarioResult(results, [rate_target(beside, 0.9, alone)], [note])

    return Comparison(cases, evaluate)


def event_readers(_runner: Runner) -> Comparison:
    """Holds of one product beside 1,000 readers who wait for an event of the feed."""
    delays_s: list[float] = []
    cases = [
        Case("hot hold", SERVICE, HOT_HOLD),
        Case(
            "beside waiting readers",
            *(SERVICE, HOT_HOLD),
            background=lambda url, database: waiting(url, database, EVENT_READERS, delays_s),
        ),
    ]

    def evaluate(results: list[Result]) -> ScenarioResult:
        alone, beside = results
        note = f"the event of an order reached all {EVENT_READERS:,} readers within {statistics.median(delays_s):.2f} s"
        return ScenarioResult(results, [rate_target(beside, 0.9, alone)], [note])

    return Comparison(cases, evaluate)


def procedures_alone(runner: Runner) -> ScenarioResult:
    """create_holds without the service, with batches of 1 and of 256 from one and two connections."""
    results = {
        (size, connections): Result(f"batches of {size:,} from {connections}", "hold", connections, frozenset({"200"}))
        for size in (1, BATCH)
        for connections in (1, 2)
    }
    for number in range(1, runner.parameters.rounds + 1):
        for (size, connections), result in results.items():
            runner.reset(SERVICE)
            result.rounds.append(_call_batches(runner, size, connections))
            runner.check()
            print(
                f"procedures_alone: round {number} of {runner.parameters.rounds}: {result.label}:"
                f" {result.rates[-1]:,.0f}/s",
                flush=True,
            )
    single, batch = results[1, 1], results[BATCH, 1]
    # 30,000 holds per second, or less on a disk with slow flushes: 27 times the rate of single calls.
    threshold = min(30_000.0, 27 * single.rate)
    text = "batches of 256 from 1: holds/s ≥ 30,000, or 27 x batches of 1"
    return ScenarioResult(list(results.values()), [Target(text, batch.rate, threshold)])


def _call_batches(runner: Runner, size: int, connections: int) -> Measurement:
    """Call create_holds over so many connections that start at the same time; raises LoadError."""
    seconds = max(1, runner.parameters.seconds // 2)
    start = partial(
        subprocess.Popen,
        [sys.executable, "-m", "bench.batches", str(size), str(seconds)],
        env={**os.environ, "MYSQL_URL": str(runner.server.for_database(runner.product.name))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ExitStack() as stack:
        callers = [stack.enter_context(start()) for _ in range(connections)]
        for caller in callers:
            if caller.stdout is None or caller.stdout.readline() != "ready\n":
                raise LoadError("bench.batches did not start")
        outputs = _start_and_wait(callers)
    figures = [msgspec.json.decode(output, type=dict[str, float]) for output in outputs]
    holds = int(sum(of_caller["holds"] for of_caller in figures))
    elapsed_s, p50_ms, p99_ms = (
        max(of_caller[name] for of_caller in figures) for name in ("seconds", "p50_ms", "p99_ms")
    )
    return Measurement(holds, elapsed_s, p50_ms, p99_ms, 0, {"200": holds})


def _start_and_wait(callers: Sequence["subprocess.Popen[str]"]) -> list[str]:
    """Let processes that are ready begin, and return what they print."""
    for caller in callers:
        if caller.stdin is not None:
            caller.stdin.write("go\n")
            caller.stdin.flush()
    return [caller.communicate()[0] for caller in callers]


COMPARISONS: dict[str, Callable[[Runner], Comparison]] = {
    comparison.__name__: comparison
    for comparison in (
        *(hot_hold, single_connection, sold_out, whole_flow, orders, payments, product_read, mix),
        *(many_products, many_connections, protections, hostile_connections, listeners, event_readers),
    )
}
CUSTOM_SCENARIOS: dict[str, Callable[[Runner], ScenarioResult]] = {
    scenario.__name__: scenario
    for scenario in (old_rows, expiry, event_feed, event_delivery, procedures_alone, cluster)
}


def measure(name: str, runner: Runner) -> ScenarioResult:
    """Run a scenario; if the runner has another revision, compare the services of both and measure no baseline."""
    if name in CUSTOM_SCENARIOS:
        return CUSTOM_SCENARIOS[name](runner)
    comparison = COMPARISONS[name](runner)
    if runner.against is None:
        return comparison.evaluate(runner.compare(name, comparison.cases))
    services = [case for case in comparison.cases if case.contender.application == SERVICE.application]
    pairs = [(case, case.at(runner.against)) for case in services]
    results = runner.compare(name, [case for pair in pairs for case in pair])
    revision_ratios = [
        RevisionRatios(current, other) for current, other in zip(results[::2], results[1::2], strict=True)
    ]
    return ScenarioResult(results, revision_ratios=revision_ratios)
