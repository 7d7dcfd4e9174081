"""Scenarios run without errors and keep the stock consistent. No test looks at the measured rates."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import plots, scenarios
from bench.database import InconsistentStock
from bench.report import Report
from bench.runner import Parameters, Runner
from bench.scenarios import measure
from bench.targets import ScenarioResult
from stack.servers import Servers
from tests.support import PASSWORDS

SHORTEST = Parameters(rounds=1, seconds=1, warm_up_seconds=0, max_variants=1)


@pytest.fixture(scope="module")
def runner(servers: Servers) -> Iterator[Runner]:
    """A runner on the servers of the tests."""
    opened = Runner(servers, SHORTEST, PASSWORDS["checkout_app"])
    yield opened
    opened.close()


def test_hot_hold_measures_the_service_and_every_baseline(runner: Runner, tmp_path: Path) -> None:
    """All seven contenders make holds without errors; the results are written as JSON and plotted."""
    report = Report(runner.mysql_settings(), asdict(runner.parameters), runner.tunings)
    report.scenarios["hot_hold"] = measure("hot_hold", runner)
    assert report.is_valid, report.table()

    path = report.write(tmp_path)
    document = json.loads(path.read_text())
    results = document["scenarios"]["hot_hold"]["results"]
    assert len(results) == 7
    assert all(result["rate"] > 0 for result in results)
    assert any("worker" in memory["process"] for memory in results[0]["memory"])
    assert results[0]["cpu_us"].keys() == {"MySQL", "Redis", "gunicorn", "service, worker"}
    assert len(document["scenarios"]["hot_hold"]["targets"]) == 5
    (plot,) = plots.draw(path)
    assert "client-side transactions" in plot.read_text()


def test_an_inconsistent_stock_fails_the_scenario(runner: Runner) -> None:
    """check() raises if a unit is in no state at all."""
    runner.product.reset()
    runner.product.execute("UPDATE stock SET available = available - 1")
    with pytest.raises(InconsistentStock, match="check_stock"):
        runner.check()


def test_payments_alone_are_each_applied_once(runner: Runner) -> None:
    (result,) = measure("payments", runner).results
    assert result.errors == {}
    ((paid,),) = runner.product.execute("SELECT COUNT(*) FROM orders WHERE status = 'paid'")
    assert paid >= result.rounds[0].requests  # wrk leaves without the answers to its last requests


def test_results_of_the_same_day_are_added_to_each_other(tmp_path: Path) -> None:
    """A run adds its scenarios to the file of the day on which it began, and replaces those that failed before."""
    report = Report({}, {}, [], started_at="2026-01-31T23:59:00Z")
    report.failures = {"mix": "wrk failed", "expiry": "wrk failed"}
    report.scenarios = {"hot_hold": ScenarioResult([])}
    report.write(tmp_path)
    later = Report({}, {}, [], started_at="2026-01-31T23:59:59Z", scenarios={"mix": ScenarioResult([], notes=["new"])})
    document = json.loads(later.write(tmp_path).read_text())
    assert document["scenarios"].keys() == {"hot_hold", "mix"}
    assert document["failures"].keys() == {"expiry"}
    assert [path.name for path in tmp_path.iterdir()] == ["2026-01-31.json"]


def test_listeners_stay_connected_and_receive_events_while_holds_are_measured(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "LISTENERS", 40)
    scenario = measure("listeners", runner)
    assert [result.errors for result in scenario.results] == [{}, {}]
    assert "received 0.0 events" not in scenario.notes[0]
