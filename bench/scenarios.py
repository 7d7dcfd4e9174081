"""What is measured, and the bar that each scenario must reach. Every bar is a ratio inside one scenario's rounds.

A scenario is a comparison of entries, which may also compare the service with that of another commit; or it does as it
likes, on this commit only.
"""

import base64
import hashlib
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from bench import contenders
from bench.attackers import Crowd, attackers
from bench.contenders import SERVICE
from bench.database import ProductDatabase
from bench.listeners import listening
from bench.load import Load, LoadError, Measurement
from bench.promise import Watcher
from bench.stage import Entry, Figure, Stage
from bench.webhooks import write_events

CROWD = 256
SOLD_OUT_HOLDS = 10_000
PRODUCTS = 1_000
LISTENERS = 2_000
OLD = "bench_old"
WORKER_LIMIT_MIB = 120
# Buyers who keep coming while holds expire: about 3,000 holds a second, which leaves the machine room for the sweep.
STEADY = Load("hold", connections=64, delay_ms=20)
SWEEP_AT_BEST = 60_000  # due holds a second: the load must end before the sweep does
SWEEP_PATIENCE_S = 600
UNREACHED_LIMIT = "1000000/second"

HOT_HOLD = Load("hold")


@dataclass(frozen=True)
class Bar:
    """What a figure must reach, or with `at_most` stay under; invalid where a figure behind it had errors."""

    text: str
    value: float
    wanted: float
    at_most: bool = False
    is_valid: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the figure counts and is on the right side."""
        return self.is_valid and (self.value <= self.wanted if self.at_most else self.value >= self.wanted)


@dataclass
class Change:
    """What the service of this commit does as a multiple of another commit's, by pairs of rounds."""

    here: Figure
    there: Figure

    @property
    def rates(self) -> list[float]:
        """Of rates: more is better."""
        return [here / there for here, there in zip(self.here.rates, self.there.rates, strict=True)]

    @property
    def p99s(self) -> list[float]:
        """Of 99th percentiles of latency: less is better."""
        pairs = zip(self.here.rounds, self.there.rounds, strict=True)
        return [here.p99_ms / there.p99_ms for here, there in pairs]

    @property
    def is_valid(self) -> bool:
        """Whether no round of either had an error."""
        return not self.here.errors and not self.there.errors


@dataclass
class Outcome:
    """A scenario's figures, and what follows from them: bars, or changes against another commit."""

    figures: list[Figure]
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Entries to measure in turn, and what follows from their figures, which are in the same order."""

    entries: Sequence[Entry]
    conclude: Callable[[list[Figure]], Outcome] = Outcome


def _ratio(subject: Figure, wanted: float, baseline: Figure, factor: float = 1.0, of: str = "") -> Bar:
    """That a rate is at least `wanted` times another's."""
    text = f"{subject.label}: ≥ {wanted:g} x {of or baseline.label}"
    value = subject.rate / (baseline.rate * factor) if baseline.rate else 0.0
    return Bar(text, value, wanted, is_valid=not subject.errors and not baseline.errors)


def hot_hold(_stage: Stage) -> Comparison:
    """Everybody wants one product: 256 connections."""
    rivals = (
        *(contenders.CLIENT_SIDE, contenders.ONE_CALL_THREADS, contenders.ONE_CALL_ASYNCIO),
        *(contenders.REDIS_ONLY, contenders.EMPTY),
    )

    def conclude(figures: list[Figure]) -> Outcome:
        service, client_side, threads, _asyncio, redis_only, empty = figures
        p99 = service.p99_ms / service.p50_ms
        bars = [
            *(_ratio(service, 12, client_side), _ratio(service, 8, threads), _ratio(service, 1.2, redis_only)),
            _ratio(service, 0.40, empty),
            Bar("service: p99 ≤ 3 x its p50", p99, 3, at_most=True, is_valid=not service.errors),
        ]
        return Outcome(figures, bars)

    return Comparison([Entry(contender.name, contender, HOT_HOLD) for contender in (SERVICE, *rivals)], conclude)


def lonely_hold(_stage: Stage) -> Comparison:
    """One buyer at a time, who has nobody to share a call with."""
    load = replace(HOT_HOLD, connections=1)
    rivals = (contenders.ONE_CALL_THREADS, contenders.ONE_CALL_ASYNCIO)

    def conclude(figures: list[Figure]) -> Outcome:
        return Outcome(figures, [_ratio(figures[0], 0.9, max(figures[1:], key=lambda figure: figure.rate))])

    return Comparison([Entry(rival.name, rival, load) for rival in (SERVICE, *rivals)], conclude)


def sold_out(_stage: Stage) -> Comparison:
    """Everybody wants what is held already."""

    def hold_everything(database: ProductDatabase) -> None:
        database.reset(stock=SOLD_OUT_HOLDS)
        database.hold(SOLD_OUT_HOLDS)

    def conclude(figures: list[Figure]) -> Outcome:
        hot, sold = figures
        return Outcome(figures, [_ratio(sold, 0.95, hot)])

    refused = replace(HOT_HOLD, expected=frozenset({"409"}))
    entries = [Entry("hot hold", SERVICE, HOT_HOLD), Entry("sold out", SERVICE, refused, prepare=hold_everything)]
    return Comparison(entries, conclude)


def whole_flow(_stage: Stage) -> Comparison:
    """Hold, order, payment: a rate is of whole flows."""
    flow = Load("flow")
    entries = [
        *(Entry("service", SERVICE, flow), Entry("client-side transactions", contenders.CLIENT_SIDE, flow)),
        Entry("empty answer", contenders.EMPTY, HOT_HOLD),
    ]

    def conclude(figures: list[Figure]) -> Outcome:
        service, client_side, empty = figures
        bars = [_ratio(service, 10, client_side), _ratio(service, 0.35, empty, 1 / 3, "a third of the empty POST")]
        return Outcome(figures, bars)

    return Comparison(entries, conclude)


def product_read(_stage: Stage) -> Comparison:
    """Everybody looks at one product, while the promise of fresh reads is watched."""
    watchers: list[Watcher] = []

    def watch(url: str, database: ProductDatabase) -> "Iterator[None]":
        watchers.append(Watcher(url, partial(database.hold, 1)))
        with watchers[-1].watch():
            yield

    def conclude(figures: list[Figure]) -> Outcome:
        service, empty = figures
        own_reads = sum(watcher.own_reads for watcher in watchers)
        oldest_s = max(watcher.oldest_s for watcher in watchers)
        note = f"{own_reads} reads after an own hold were exact; other changes showed after {oldest_s:.2f} s at most"
        return Outcome(figures, [_ratio(service, 0.8, empty)], [note])

    load = Load("read")
    entries = [
        Entry("service", SERVICE, load, beside=contextmanager(watch)),
        Entry("empty GET", contenders.EMPTY, load),
    ]
    return Comparison(entries, conclude)


def mix(_stage: Stage) -> Comparison:
    """Nine reads to one hold."""
    load = Load("mix")
    rivals = (SERVICE, contenders.CLIENT_SIDE)
    return Comparison([Entry(rival.name, rival, load) for rival in rivals])


def many_products(_stage: Stage) -> Comparison:
    """A thousand products, all wanted alike."""
    spread = replace(HOT_HOLD, products=PRODUCTS)
    entries = [Entry("one product", SERVICE, HOT_HOLD), Entry("1,000 products", SERVICE, spread)]

    def conclude(figures: list[Figure]) -> Outcome:
        one, thousand = figures
        return Outcome(figures, [_ratio(thousand, 0.6, one)])

    return Comparison(entries, conclude)


def many_connections(stage: Stage) -> Comparison:
    """The hot hold from few connections to thousands, each with a service of its own, whose memory it is."""
    levels = sorted({*stage.pace.connections, CROWD, 2048})
    labels = {level: f"{level:,} connections" for level in levels}
    entries = [
        Entry(label, replace(SERVICE, name=label), replace(HOT_HOLD, connections=level))
        for level, label in labels.items()
    ]

    def conclude(figures: list[Figure]) -> Outcome:
        by_level = dict(zip(levels, figures, strict=True))
        crowd, thousands = by_level[CROWD], by_level[2048]
        workers = [memory.rss_mib for memory in thousands.memory if "worker" in memory.process]
        bars = [
            _ratio(thousands, 0.8, crowd),
            Bar("2,048 connections: errors", sum(thousands.errors.values()), 0, at_most=True),
            Bar("2,048 connections: MiB a worker", max(workers), WORKER_LIMIT_MIB, at_most=True),
        ]
        return Outcome(figures, bars)

    return Comparison(entries, conclude)


def old_rows(stage: Stage) -> Outcome:
    """Empty tables beside tables with a history of holds, orders and random keys."""
    database = ProductDatabase(stage.server, OLD)
    database.reset()
    stage.databases[OLD] = database
    outcome, filled = Outcome([]), 0
    try:
        for rows in stage.pace.old_rows:
            stage.say(f"old_rows: adding holds, orders and keys up to {rows:,} each …")
            database.add_history(rows - filled)
            filled = rows
            figures, bars = _beside_old_rows(stage, rows)
            outcome.figures += figures
            outcome.bars = bars  # the largest level's
    finally:
        del stage.databases[OLD]
        database.drop()
    return outcome


def _beside_old_rows(stage: Stage, rows: int) -> tuple[list[Figure], list[Bar]]:
    aged = replace(SERVICE, name=f"service on {OLD}", database=OLD)
    random_keys = replace(HOT_HOLD, keys="client")
    entries = [
        Entry("empty tables", SERVICE, HOT_HOLD),
        Entry(f"{rows:,} old rows, service-made keys", aged, HOT_HOLD, prepare=_leave),
        Entry(f"{rows:,} old rows, random client keys", aged, random_keys, prepare=_leave),
    ]
    empty, made, client = figures = stage.compare("old_rows", entries)
    return figures, [_ratio(made, 0.85, empty), _ratio(client, 0.6, empty)]


def _leave(_database: ProductDatabase) -> None:
    """Empty nothing."""


def expiry(stage: Stage) -> Outcome:
    """A crowd's holds fall due at once while others go on buying; and while nobody does."""
    usual = Figure("holds as usual", "hold", STEADY.connections, STEADY.expected)
    meanwhile = Figure("holds while others expire", "hold", STEADY.connections, STEADY.expected)
    seconds = max(1, stage.pace.due_holds // SWEEP_AT_BEST)
    busy_rates, quiet_rates = [], []
    with stage.running([SERVICE]) as gunicorns:
        url = gunicorns[SERVICE.name].url
        for number in range(1, stage.pace.rounds + 1):
            stage.reset(SERVICE)
            stage.wrk.run(url, STEADY, max(1, stage.pace.warm_up_seconds))
            usual.rounds.append(stage.wrk.run(url, STEADY, stage.pace.seconds))
            measurement, busy_rate = _holds_during_sweep(stage, url, seconds)
            meanwhile.rounds.append(measurement)
            busy_rates.append(busy_rate)
            quiet_rates.append(_holds_during_sweep(stage, None, seconds)[1])
            stage.say(
                f"expiry: round {number} of {stage.pace.rounds}: {busy_rate:,.0f} due holds/s while holds go on,"
                f" {quiet_rates[-1]:,.0f} alone; p99 of holds {usual.rounds[-1].p99_ms:.1f} ms as usual,"
                f" {measurement.p99_ms:.1f} ms meanwhile"
            )
    rate, quiet_rate = statistics.median(busy_rates), statistics.median(quiet_rates)
    bars = [
        Bar("due holds/s released while holds go on: ≥ 33,000", rate, 33_000),
        Bar(
            "holds while others expire: p99 ≤ 3 x the usual",
            meanwhile.p99_ms / usual.p99_ms,
            3,
            at_most=True,
            is_valid=not meanwhile.errors and not usual.errors,
        ),
    ]
    notes = [f"{stage.pace.due_holds:,} due holds: {rate:,.0f}/s while holds go on, {quiet_rate:,.0f}/s alone"]
    return Outcome([usual, meanwhile], bars, notes)


def _holds_during_sweep(stage: Stage, url: str | None, seconds: int) -> tuple[Measurement, float]:
    """Let the EVENT find many due holds; returns what buyers saw meanwhile, and the due holds released a second."""
    stage.product.set_event("DISABLE")
    stage.reset(SERVICE)
    stage.product.add_holds(stage.pace.due_holds, ttl_s=-1)
    measurement = Measurement(0, 1.0, 0.0, 0.0, 0, {})
    load = stage.wrk.start(url, STEADY, seconds) if url else None
    stage.product.set_event("ENABLE")
    if load:
        measurement = stage.wrk.finish(load)
    rate = _wait_for_sweep(stage)
    stage.check()
    return measurement, rate


def _wait_for_sweep(stage: Stage) -> float:
    """Wait until all that is due has been released; returns how many in a second, from the first sweep's start."""
    deadline = time.monotonic() + SWEEP_PATIENCE_S
    released = 0
    while released < stage.pace.due_holds:
        if time.monotonic() > deadline:
            raise LoadError(f"only {released} due holds were released within {SWEEP_PATIENCE_S} s")
        time.sleep(0.1)
        ((released, seconds),) = stage.product.execute(
            "SELECT COALESCE(SUM(holds), 0), TIMESTAMPDIFF(MICROSECOND,"
            " MIN(swept_at - INTERVAL duration_ms * 1000 MICROSECOND), MAX(swept_at)) / 1000000 FROM sweeps"
        )
    return float(released) / float(seconds)


def protections(stage: Stage) -> Comparison:
    """What API keys, rate limits and signatures cost, each beside the service without it."""
    api_key, secret = secrets.token_urlsafe(), "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    events = stage.folder / "events"
    write_events(events, secret)
    keys = (("API_KEYS", f"shop:{hashlib.sha256(api_key.encode()).hexdigest()}"),)
    limits = (("RATE_LIMIT_PER_KEY", UNREACHED_LIMIT), ("RATE_LIMIT_PER_ADDRESS", UNREACHED_LIMIT))
    keyed = replace(SERVICE, name="service, API keys", settings=keys)
    limited = replace(SERVICE, name="service, API keys and rate limits", settings=keys + limits)
    signed = replace(SERVICE, name="service, signatures", settings=(("WEBHOOK_SECRETS", secret),))
    hold = replace(HOT_HOLD, api_key=api_key)
    webhook = Load("webhook", expected=frozenset({"200", "202"}), events=str(events))
    entries = [
        *(Entry(f"hold: {each.name}", each, hold) for each in (SERVICE, keyed, limited)),
        *(Entry(f"webhook: {each.name}", each, webhook) for each in (SERVICE, signed)),
    ]
    return Comparison(entries)


def abuse(_stage: Stage) -> Comparison:
    """Everybody wants one product, and thousands of connections want nothing but to be in the way."""
    crowd = Crowd()
    entries = [
        Entry("hot hold", SERVICE, HOT_HOLD),
        Entry("beside attackers", SERVICE, HOT_HOLD, beside=lambda url, _database: attackers(url, crowd)),
    ]
    note = (
        f"attackers: {crowd.idle:,} silent connections, {crowd.slow} that send headers a byte a second,"
        f" {crowd.half} that stop halfway through a body, {crowd.garbage} that pipeline garbage every second"
    )

    def conclude(figures: list[Figure]) -> Outcome:
        alone, beside = figures
        return Outcome(figures, [_ratio(beside, 0.8, alone)], [note])

    return Comparison(entries, conclude)


def listeners(_stage: Stage) -> Comparison:
    """Everybody wants one product, and two thousand look on as its stock goes down."""
    rates: list[float] = []
    entries = [
        Entry("hot hold", SERVICE, HOT_HOLD),
        Entry("beside listeners", SERVICE, HOT_HOLD, beside=lambda url, _database: listening(url, LISTENERS, rates)),
    ]

    def conclude(figures: list[Figure]) -> Outcome:
        alone, beside = figures
        note = f"{LISTENERS:,} listeners: each heard {statistics.median(rates):.1f} events a second"
        return Outcome(figures, [_ratio(beside, 0.9, alone)], [note])

    return Comparison(entries, conclude)


def procedures_alone(stage: Stage) -> Outcome:
    """create_holds without the service: batches with idempotency keys from one and two connections."""
    figures = {
        (size, connections): Figure(f"batches of {size:,} from {connections}", "hold", connections, frozenset({"200"}))
        for size in stage.pace.batch_sizes
        for connections in (1, 2)
    }
    for number in range(1, stage.pace.rounds + 1):
        for (size, connections), figure in figures.items():
            stage.reset(SERVICE)
            figure.rounds.append(_call_batches(stage, size, connections))
            stage.check()
            stage.say(
                f"procedures_alone: round {number} of {stage.pace.rounds}: {figure.label}: {figure.rates[-1]:,.0f}/s"
            )
    one, batch = figures[1, 1], figures[256, 1]
    # Either will do: 30,000 holds a second, or 27 times what single calls reach where a flush is slow.
    wanted = min(30_000.0, 27 * one.rate)
    text = "batches of 256 from 1: holds/s ≥ 30,000, or 27 x batches of 1"
    return Outcome(list(figures.values()), [Bar(text, batch.rate, wanted)])


def _call_batches(stage: Stage, size: int, connections: int) -> Measurement:
    """Call create_holds for a while; the connections start together."""
    url = str(replace(stage.server, database=stage.product.name))
    seconds = max(1, stage.pace.seconds // 2)
    command = [sys.executable, "-m", "bench.batches", url, str(size), str(seconds)]
    with ExitStack() as stack:
        callers = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(connections)
        ]
        for caller in callers:
            if caller.stdout is None or caller.stdout.readline() != "ready\n":
                raise LoadError("bench.batches did not start")
        outputs = _release(callers)
    answers = [msgspec.json.decode(output, type=dict[str, float]) for output in outputs]
    holds = int(sum(answer["holds"] for answer in answers))
    seconds_spent, p50_ms, p99_ms = (
        max(answer[name] for answer in answers) for name in ("seconds", "p50_ms", "p99_ms")
    )
    return Measurement(holds, seconds_spent, p50_ms, p99_ms, 0, {"200": holds})


def _release(callers: Sequence["subprocess.Popen[str]"]) -> list[str]:
    for caller in callers:
        if caller.stdin is not None:
            caller.stdin.write("go\n")
            caller.stdin.flush()
    return [caller.communicate()[0] for caller in callers]


COMPARISONS: dict[str, Callable[[Stage], Comparison]] = {
    comparison.__name__: comparison
    for comparison in (
        *(hot_hold, lonely_hold, sold_out, whole_flow, product_read, mix, many_products, many_connections),
        *(protections, abuse, listeners),
    )
}
OTHERS: dict[str, Callable[[Stage], Outcome]] = {
    scenario.__name__: scenario for scenario in (old_rows, expiry, procedures_alone)
}


def measure(name: str, stage: Stage) -> Outcome:
    """Run a scenario; where the stage has another revision, compare the services of both and no baseline."""
    if name in OTHERS:
        return OTHERS[name](stage)
    comparison = COMPARISONS[name](stage)
    if stage.against is None:
        return comparison.conclude(stage.compare(name, comparison.entries))
    services = [entry for entry in comparison.entries if entry.contender.application == SERVICE.application]
    pairs = [(entry, entry.at(stage.against)) for entry in services]
    figures = stage.compare(name, [entry for pair in pairs for entry in pair])
    changes = [Change(here, there) for here, there in zip(figures[::2], figures[1::2], strict=True)]
    return Outcome(figures, changes=changes)
