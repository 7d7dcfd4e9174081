"""A group of three MySQL servers: what it costs beside a single one, and how long nothing is held after a failure."""

import http
import http.client
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

import mysql.connector

from bench.contenders import SERVICE
from bench.load import Load, LoadError
from bench.runner import Case, Result, Runner
from bench.targets import ScenarioResult, Target, rate_target
from stack import servers
from stack.group import Group, Member
from stack.process import POLL_INTERVAL_S

MEMBERS = 3
MEMBER_BUFFER_POOL_MIB = 512
BUYERS = 16  # connections that hold during a failover, each one unit after the other
PAUSE_S = 0.01
STEADY_S = 2
TIMEOUT_S = 60
HOLD = Load("hold")


@dataclass(frozen=True)
class Failover:
    """Durations in seconds.

    gap_s           the longest time without an acknowledged hold
    writable_s      from the failure until another member accepts writes
    acknowledged_s  from then until the service acknowledges a hold
    """

    gap_s: float
    writable_s: float
    acknowledged_s: float


def cluster(runner: Runner) -> ScenarioResult:
    """Holds on a group of three MySQL servers beside one server, and the gap when the primary is killed or frozen."""
    with (
        servers.start("bench-group", buffer_pool_mib=MEMBER_BUFFER_POOL_MIB, members=MEMBERS) as running,
        closing(Runner(running, runner.parameters, runner.application_password)) as group_runner,
    ):
        single, grouped = _compare(runner, group_runner)
        with group_runner.running([SERVICE]) as gunicorns:
            group_runner.reset(SERVICE)
            url = gunicorns[SERVICE.name].url
            numbers = range(runner.parameters.failovers)
            killed = [_fail_over(running.group, url, Member.kill, Member.start) for _ in numbers]
            frozen = [_fail_over(running.group, url, Member.pause, Member.resume) for _ in numbers]
            for database in group_runner.databases.values():
                database.reconnect()
            group_runner.check()
    return ScenarioResult(
        [single, grouped],
        [rate_target(grouped, 0.6, single), *_targets("killed", killed), *_targets("frozen", frozen)],
        [_note("killed", killed), _note("frozen", frozen)],
    )


def _compare(runner: Runner, group_runner: Runner) -> tuple[Result, Result]:
    """Measure holds on the single server and on the group in turn."""
    case = Case(SERVICE.name, SERVICE, HOLD)
    single, grouped = (
        Result(label, HOLD.kind, HOLD.connections, HOLD.expected) for label in ("one server", "group of three")
    )
    with runner.running([SERVICE]) as of_single, group_runner.running([SERVICE]) as of_group:
        turns = [(runner, of_single, single), (group_runner, of_group, grouped)]
        for number in range(1, runner.parameters.rounds + 1):
            for one, gunicorns, result in turns if number % 2 else reversed(turns):
                measurement = one.measure(case, gunicorns[SERVICE.name])
                result.rounds.append(measurement)
                print(
                    f"cluster: round {number} of {runner.parameters.rounds}: {result.label}:"
                    f" {measurement.rate(HOLD.kind):,.0f}/s, p50 {measurement.p50_ms:.1f} ms,"
                    f" p99 {measurement.p99_ms:.1f} ms {measurement.errors(HOLD.expected) or ''}",
                    flush=True,
                )
    return single, grouped


def _fail_over(
    group: Group, url: str, harm: Callable[[Member], object], repair: Callable[[Member], object]
) -> Failover:
    """Harm the primary while buyers hold, and repair it when the sale goes on."""
    primary = group.primary()
    others = [member for member in group.members if member is not primary]
    with _buying(url) as acknowledged:
        time.sleep(STEADY_S)
        harmed_at = time.monotonic()
        harm(primary)
        _wait(lambda: any(_is_writable(member) for member in others), "no other member accepts writes")
        writable_at = time.monotonic()
        _wait(lambda: acknowledged[-1] > writable_at, "the service acknowledges no hold")
        time.sleep(STEADY_S)
    repair(primary)
    _wait(lambda: primary.status().role == "SECONDARY" and _is_online(group), "the member does not rejoin")
    moments = sorted(acknowledged)
    failover = Failover(
        gap_s=max(after - before for before, after in pairwise(moments)),
        writable_s=writable_at - harmed_at,
        acknowledged_s=next(moment for moment in moments if moment > writable_at) - writable_at,
    )
    print(f"cluster: {failover}", flush=True)
    return failover


@contextmanager
def _buying(url: str) -> Iterator[list[float]]:
    """Hold units of product 1 during the block; yields a list that fills with the moments of acknowledgements."""
    has_ended = threading.Event()
    acknowledged: list[float] = []

    def buy() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
        while not has_ended.wait(PAUSE_S):
            connection.request(
                "POST", "/api/holds", '{"product_id":1,"quantity":1}', {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            response.read()
            if response.status == http.HTTPStatus.CREATED:
                acknowledged.append(time.monotonic())

    threads = [threading.Thread(target=buy) for _ in range(BUYERS)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        has_ended.set()
        for thread in threads:
            thread.join()


def _is_writable(member: Member) -> bool:
    try:
        return member.execute("SELECT @@GLOBAL.read_only AS is_read_only") == [{"is_read_only": 0}]
    except mysql.connector.Error:
        return False


def _is_online(group: Group) -> bool:
    return all(member.status().state == "ONLINE" for member in group.members)


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    """Wait until a condition is true; raises LoadError after a minute."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise LoadError(f"{complaint} after {TIMEOUT_S} s")
        time.sleep(POLL_INTERVAL_S)


def _targets(fault: str, failovers: Sequence[Failover]) -> list[Target]:
    writable_s = statistics.median(failover.writable_s for failover in failovers)
    acknowledged_s = statistics.median(failover.acknowledged_s for failover in failovers)
    return [
        Target(f"primary {fault}: another accepts writes after ≤ 8 s", writable_s, 8, at_most=True),
        Target(f"primary {fault}: the service acknowledges ≤ 1 s later", acknowledged_s, 1, at_most=True),
    ]


def _note(fault: str, failovers: Sequence[Failover]) -> str:
    gaps = [failover.gap_s for failover in failovers]
    return (
        f"primary {fault}, {len(gaps)} times: {statistics.median(gaps):.1f} s without an acknowledged hold"
        f" ({min(gaps):.1f} to {max(gaps):.1f})"
    )
