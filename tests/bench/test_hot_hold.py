"""The measurement itself: each contender answers as it should, and keeps its stock whole. No figure is looked at."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import plots, scenarios
from bench.database import BrokenStock
from bench.report import Report
from bench.scenarios import measure
from bench.stage import Pace, Stage
from stack.servers import Servers
from tests.support import PASSWORDS

SHORTEST = Pace(rounds=1, seconds=1, warm_up_seconds=0, sweep_variants=1)


@pytest.fixture(scope="module")
def stage(servers: Servers) -> Iterator[Stage]:
    """The servers of the tests, with the databases of a measurement."""
    opened = Stage(servers, SHORTEST, PASSWORDS["checkout_app"])
    yield opened
    opened.close()


def test_a_hot_hold_is_measured_beside_every_baseline(stage: Stage, tmp_path: Path) -> None:
    """Six contenders make holds without an error; the result is written as JSON and drawn."""
    report = Report(stage.settings(), asdict(stage.pace), stage.sweeps)
    report.outcomes["hot_hold"] = measure("hot_hold", stage)
    assert report.is_sound, report.table()

    document = json.loads(report.write(tmp_path).read_text())
    figures = document["scenarios"]["hot_hold"]["figures"]
    assert len(figures) == 6
    assert all(figure["rate"] > 0 for figure in figures)
    assert any("worker" in memory["process"] for memory in figures[0]["memory"])
    assert len(document["scenarios"]["hot_hold"]["bars"]) == 5
    (plot,) = plots.draw(report.outcomes, tmp_path)
    assert "client-side transaction" in plot.read_text()


def test_a_broken_stock_is_a_failure_and_not_a_figure(stage: Stage) -> None:
    """A unit that nobody has is noticed."""
    stage.product.reset()
    stage.product.execute("UPDATE stock SET available = available - 1")
    with pytest.raises(BrokenStock, match="check_stock"):
        stage.check()


def test_holds_are_measured_beside_those_who_look_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All listeners stay, and hear of the holds."""
    monkeypatch.setattr(scenarios, "LISTENERS", 40)
    outcome = measure("listeners", stage)
    assert [figure.errors for figure in outcome.figures] == [{}, {}]
    assert "each heard 0.0" not in outcome.notes[0]
