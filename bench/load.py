"""The load generator wrk: what it sends, and what it measured."""

import os
import resource
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stack import packages

SCRIPT = Path(__file__).with_name("load.lua")
REQUESTS_PER_FLOW = 3
TIMEOUT_S = 5  # longer than any response may take: beyond it, wrk counts an error


class LoadError(Exception):
    """The load generator failed, or the work that it caused did not end in time."""


@dataclass(frozen=True)
class Load:
    """What the load generator sends.

    - `kind`: hold, read, mix (nine reads per hold), flow (hold, order and payment), order or payment (one after the
      other, with the bodies of `file`), or webhook (the signed events of `file`, see bench/webhooks.py).
    - `keys`: "generated" if the service generates the idempotency keys of holds, "client" if the load generator sends
      random ones.
    - `delay_ms`: how long each connection waits before each request.
    - `expected`: the statuses that are no errors.
    """

    kind: str
    connections: int = 256
    products: int = 1
    keys: str = "generated"
    delay_ms: int = 0
    expected: frozenset[str] = frozenset({"200", "201"})
    api_key: str = ""
    file: str = ""


class Measurement(msgspec.Struct):
    """The result of one run of wrk, the memory of the server processes in the middle of it, and CPU times.

    `cpu_us` is the CPU time per request in µs, by server: what the kernel counted for its processes.
    `load_generator_cpu_us` is that of wrk.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    connection_errors: int
    statuses: dict[str, int]
    memory: list["Memory"] = msgspec.field(default_factory=list)
    cpu_us: dict[str, float] = msgspec.field(default_factory=dict)
    load_generator_cpu_us: float = 0.0

    def rate(self, kind: str) -> float:
        """Requests per second; for the kind "flow", whole flows of three requests per second."""
        return self.requests / (REQUESTS_PER_FLOW if kind == "flow" else 1) / self.seconds

    def errors(self, expected: frozenset[str]) -> dict[str, int]:
        """Count responses by unexpected status, and connections that failed or timed out.

        A run without any response has an error as well.
        """
        errors = {status: count for status, count in self.statuses.items() if status not in expected}
        others = {"connection": self.connection_errors, "no response": int(not self.requests)}
        return errors | {name: count for name, count in others.items() if count}


class Memory(msgspec.Struct):
    """Resident and proportional set size of one process."""

    process: str
    rss_mib: float
    pss_mib: float


class Wrk:
    """The program wrk, from PATH or from its Debian package."""

    def __init__(self) -> None:
        found = shutil.which("wrk")
        self._command = [found] if found else packages.command(("wrk",), "usr/bin/wrk")

    def start(self, url: str, load: Load, seconds: int) -> "subprocess.Popen[str]":
        """Start sending; `finish` waits for the end."""
        return subprocess.Popen(
            [
                *self._command,
                "--threads=1",
                f"--connections={load.connections}",
                f"--duration={seconds}s",
                f"--timeout={TIMEOUT_S}s",
                f"--script={SCRIPT}",
                url,
                *(load.kind, str(load.products), load.keys, str(load.delay_ms), load.api_key, load.file),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> Measurement:
        """Wait until wrk has ended and return its measurement; raises LoadError."""
        output, _ = process.communicate()
        line = output.strip().rpartition("\n")[2]
        if process.returncode != 0 or not line.startswith("{"):
            raise LoadError(f"wrk failed:\n{output}")
        return msgspec.json.decode(line, type=Measurement)

    def run(self, url: str, load: Load, seconds: int, sample_memory: Callable[[], list[Memory]] = list) -> Measurement:
        """Send for so many seconds, and call `sample_memory` halfway; raises LoadError."""
        cpu_seconds_before = _cpu_seconds_of_ended_children()
        process = self.start(url, load, seconds)
        try:
            process.wait(seconds / 2)
        except subprocess.TimeoutExpired:
            memory = sample_memory()
        else:
            memory = []
        measurement = self.finish(process)
        measurement.memory = memory
        cpu_seconds = _cpu_seconds_of_ended_children() - cpu_seconds_before
        measurement.load_generator_cpu_us = 1e6 * cpu_seconds / max(1, measurement.requests)
        return measurement


def _cpu_seconds_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds_of(processes: dict[int, str]) -> dict[str, float]:
    """Return the CPU time that processes have used so far, in s, by name; `processes` maps process ids to names."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for process_id, name in processes.items():
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        seconds[name] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, see proc(5)
    return seconds


def memory_of(processes: dict[int, str]) -> list[Memory]:
    """Return the memory of each process; `processes` maps process ids to names."""
    return [_memory(process_id, name) for process_id, name in processes.items()]


def _memory(process_id: int, name: str) -> Memory:
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    return Memory(name, round(kib["Rss"] / 1024, 1), round(kib["Pss"] / 1024, 1))
