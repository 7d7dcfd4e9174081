"""What a run leaves behind: a table on the terminal, JSON, plots."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.scenarios import Bar, Change, Outcome
from bench.stage import Figure, Sweep


@dataclass
class Report:
    """All of a run."""

    settings: dict[str, str]
    pace: dict[str, Any]
    sweeps: list[Sweep]
    against: str | None = None  # the commit that the service is compared with
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    started_at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def is_sound(self) -> bool:
        """Whether every scenario kept its invariants and no answer was unexpected."""
        figures = [figure for outcome in self.outcomes.values() for figure in outcome.figures]
        return not self.failures and not any(figure.errors for figure in figures)

    def write(self, folder: Path) -> Path:
        """Add the results to those of the same day, if there are any; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.started_at[:10]}.json"
        earlier = json.loads(path.read_text()) if path.exists() else {"sweeps": [], "failures": {}, "scenarios": {}}
        document = self._document()
        document["sweeps"] = earlier["sweeps"] + document["sweeps"]
        for part in ("failures", "scenarios"):
            document[part] = {**earlier[part], **document[part]}
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path

    def _document(self) -> dict[str, Any]:
        return {
            "started_at": self.started_at,
            "machine": _machine(),
            "mysql": self.settings,
            "pace": self.pace,
            "against": self.against,
            "sweeps": [asdict(sweep) for sweep in self.sweeps],
            "failures": self.failures,
            "scenarios": {
                name: {
                    "figures": [_figure_document(figure) for figure in outcome.figures],
                    "bars": [{**asdict(bar), "is_met": bar.is_met} for bar in outcome.bars],
                    "notes": outcome.notes,
                    "changes": [
                        {"here": change.here.label, "rates": change.rates, "p99s": change.p99s}
                        for change in outcome.changes
                        if change.is_valid
                    ],
                }
                for name, outcome in self.outcomes.items()
            },
        }

    def table(self) -> str:
        """The figures and whether each bar is met."""
        lines = ["", ", ".join(f"{name} {value}" for name, value in self.settings.items()), *self._sweep_lines()]
        for name, outcome in self.outcomes.items():
            lines += ["", f"{name:<48}{'median/s':>10}{'min':>9}{'max':>9}{'p50 ms':>9}{'p99 ms':>9}  errors"]
            lines += [_figure_line(figure) for figure in outcome.figures]
            lines += [_bar_line(bar) for bar in outcome.bars]
            lines += [_change_line(change, self.against) for change in outcome.changes]
            lines += [f"  {note}" for note in outcome.notes]
            lines += [f"  memory: {_memory_text(figure)}" for figure in outcome.figures[:1] if figure.memory]
        lines += ["", *(f"{name}: FAILED: {reason}" for name, reason in self.failures.items())]
        bars = [bar for outcome in self.outcomes.values() for bar in outcome.bars]
        return "\n".join([*lines, *([f"{sum(bar.is_met for bar in bars)} of {len(bars)} bars met"] if bars else [])])

    def _sweep_lines(self) -> list[str]:
        lines = []
        for sweep in self.sweeps:
            lines.append(f"{sweep.contender}, swept at 256 connections, best first")
            lines += [f"  {variant:<46}{rate:>10,.0f}" for variant, rate in sweep.rates.items()]
        return lines


def _figure_document(figure: Figure) -> dict[str, Any]:
    return {
        "label": figure.label,
        "connections": figure.connections,
        "rate": figure.rate,
        "rates": figure.rates,
        "p50_ms": figure.p50_ms,
        "p99_ms": figure.p99_ms,
        "errors": figure.errors,
        "memory": msgspec.to_builtins(figure.memory),
    }


def _figure_line(figure: Figure) -> str:
    rates = f"{figure.rate:>10,.0f}{min(figure.rates):>9,.0f}{max(figure.rates):>9,.0f}"
    errors = f"INVALID {figure.errors}" if figure.errors else "none"
    return f"  {figure.label:<46}{rates}{figure.p50_ms:>9.1f}{figure.p99_ms:>9.1f}  {errors}"


def _bar_line(bar: Bar) -> str:
    verdict = "met" if bar.is_met else "NOT MET" if bar.is_valid else "INVALID"
    return f"  {'→ ' + bar.text:<72}{bar.value:>12,.2f}  {verdict}"


def _change_line(change: Change, against: str | None) -> str:
    name = f"{change.here.label}, here / {against}"
    if not change.is_valid:
        return f"  → {name}: INVALID"
    rates, p99s = (
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        for ratios in (change.rates, change.p99s)
    )
    return f"  → {name}: rate {rates}, p99 {p99s}, {len(change.rates)} pairs"


def _memory_text(figure: Figure) -> str:
    texts = [f"{memory.process} {memory.rss_mib:,.0f} ({memory.pss_mib:,.0f})" for memory in figure.memory]
    return f"{figure.label}: MiB resident (proportional): {', '.join(texts)}"


def _machine() -> dict[str, Any]:
    cpu = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "cores": os.cpu_count(),
        "processor": cpu[0] if cpu else platform.machine(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "driver_of_threads": "C extension" if _has_c_extension() else "pure Python",
    }


def _has_c_extension() -> bool:
    """Whether the driver's C extension loads, which it does only in a process that has not loaded OpenSSL."""
    command = [sys.executable, "-c", "import _mysql_connector"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
