"""The report of a run: a table for the terminal, and a JSON file."""

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

from bench.runner import Result, Tuning
from bench.targets import RevisionRatios, ScenarioResult, Target


@dataclass
class Report:
    """Everything that a run has measured."""

    mysql_settings: dict[str, str]
    parameters: dict[str, Any]
    tunings: list[Tuning]
    against: str | None = None  # the revision that the service is compared with
    scenarios: dict[str, ScenarioResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    started_at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def is_valid(self) -> bool:
        """Whether no scenario failed and no result has errors."""
        results = [result for scenario in self.scenarios.values() for result in scenario.results]
        return not self.failures and not any(result.errors for result in results)

    def write(self, folder: Path) -> Path:
        """Write the JSON file of the day on which the run began, and return it; each other revision has its own file.

        What earlier runs of the day have measured stays in it, unless this run has measured it again.
        """
        folder.mkdir(parents=True, exist_ok=True)
        other = f"-against-{self.against}" if self.against else ""
        path = folder / f"{self.started_at[:10]}{other}.json"
        earlier = json.loads(path.read_text()) if path.exists() else {"tunings": {}, "failures": {}, "scenarios": {}}
        document = self._document()
        for part in ("tunings", "failures", "scenarios"):
            document[part] = {**earlier[part], **document[part]}
        for name in self.scenarios:
            document["failures"].pop(name, None)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path

    def _document(self) -> dict[str, Any]:
        run = {"started_at": self.started_at, "parameters": self.parameters}
        return {
            "machine": _machine(),
            "mysql": self.mysql_settings,
            "against": self.against,
            "tunings": {tuning.contender: tuning.rates for tuning in self.tunings},
            "failures": self.failures,
            "scenarios": {
                name: {
                    "run": run,
                    "results": [_result_document(result) for result in scenario.results],
                    "targets": [{**asdict(target), "is_met": target.is_met} for target in scenario.targets],
                    "notes": scenario.notes,
                    "revision_ratios": [
                        {
                            "label": ratios.current.label,
                            "rates": ratios.rates,
                            "p99s": ratios.p99s,
                            "cpus": ratios.cpus,
                        }
                        for ratios in scenario.revision_ratios
                        if ratios.is_valid
                    ],
                }
                for name, scenario in self.scenarios.items()
            },
        }

    def table(self) -> str:
        """Format all results, and whether each target is met."""
        settings = ", ".join(f"{name} {value}" for name, value in self.mysql_settings.items())
        lines = ["", settings, *self._tuning_lines()]
        for name, scenario in self.scenarios.items():
            lines += ["", f"{name:<48}{'median/s':>10}{'min':>9}{'max':>9}{'p50 ms':>9}{'p99 ms':>9}  errors"]
            for result in scenario.results:
                lines += [_result_line(result), *_cpu_lines(result)]
            lines += [_target_line(target) for target in scenario.targets]
            lines += [_ratios_line(ratios) for ratios in scenario.revision_ratios]
            lines += [f"  {note}" for note in scenario.notes]
            lines += [f"  memory: {_memory_text(result)}" for result in scenario.results[:1] if result.memory]
        lines += ["", *(f"{name}: FAILED: {reason}" for name, reason in self.failures.items())]
        targets = [target for scenario in self.scenarios.values() for target in scenario.targets]
        if targets:
            lines.append(f"{sum(target.is_met for target in targets)} of {len(targets)} targets met")
        return "\n".join(lines)

    def _tuning_lines(self) -> list[str]:
        lines = []
        for tuning in self.tunings:
            lines.append(f"variants of {tuning.contender}: holds per second at 256 connections, best first")
            lines += [f"  {variant:<46}{rate:>10,.0f}" for variant, rate in tuning.rates.items()]
        return lines


def _result_document(result: Result) -> dict[str, Any]:
    return {
        "label": result.label,
        "connections": result.connections,
        "rate": result.rate,
        "rates": result.rates,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "errors": result.errors,
        "cpu_us": result.cpu_us,
        "load_generator_cpu_us": result.load_generator_cpu_us,
        "memory": msgspec.to_builtins(result.memory),
    }


def _result_line(result: Result) -> str:
    rates = f"{result.rate:>10,.0f}{min(result.rates):>9,.0f}{max(result.rates):>9,.0f}"
    errors = f"INVALID {result.errors}" if result.errors else "none"
    return f"  {result.label:<46}{rates}{result.p50_ms:>9.1f}{result.p99_ms:>9.1f}  {errors}"


def _cpu_lines(result: Result) -> list[str]:
    cpu_us = {**result.cpu_us, "load generator": result.load_generator_cpu_us}
    texts = [f"{name} {value:,.0f}" for name, value in cpu_us.items() if value >= 1]
    return [f"    CPU µs per request: {', '.join(texts)}"] if texts else []


def _target_line(target: Target) -> str:
    verdict = "met" if target.is_met else "NOT MET" if target.is_valid else "INVALID"
    return f"  {'→ ' + target.text:<72}{target.value:>12,.2f}  {verdict}"


def _ratios_line(ratios: RevisionRatios) -> str:
    name = f"{ratios.current.label} / {ratios.other.label}"
    if not ratios.is_valid:
        return f"  → {name}: INVALID"
    rates, p99s, cpus = (
        f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
        for values in (ratios.rates, ratios.p99s, ratios.cpus)
    )
    return f"  → {name}: rate {rates}, p99 {p99s}, CPU time {cpus}, {len(ratios.rates)} rounds"


def _memory_text(result: Result) -> str:
    texts = [f"{memory.process} {memory.rss_mib:,.0f} ({memory.pss_mib:,.0f})" for memory in result.memory]
    return f"{result.label}: MiB resident (proportional): {', '.join(texts)}"


def _machine() -> dict[str, Any]:
    cpu = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "cores": os.cpu_count(),
        "processor": cpu[0] if cpu else platform.machine(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "mysql_driver_of_threaded_baselines": "C extension" if _has_c_extension() else "pure Python",
    }


def _has_c_extension() -> bool:
    """Whether the driver's C extension loads; only a process that has not loaded the system's OpenSSL can load it."""
    command = [sys.executable, "-c", "import _mysql_connector"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
