"""wrk: what it is to send, and what it saw."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stack import packages

SCRIPT = Path(__file__).with_name("load.lua")
FLOW_REQUESTS = 3
TIMEOUT_S = 5  # beyond every promise: an answer that takes longer is an error


class LoadError(Exception):
    """wrk could not do its work."""


@dataclass(frozen=True)
class Load:
    """What is sent; `delay_ms` is waited by each connection before every request.

    kind is hold, read, mix (9 reads to 1 hold), flow (hold, order and payment) or webhook (signed events from the file
    `events`, see bench/webhooks.py); keys are made by the service or by the client, which are random.
    """

    kind: str
    connections: int = 256
    products: int = 1
    keys: str = "made"
    delay_ms: int = 0
    expected: frozenset[str] = frozenset({"200", "201"})
    api_key: str = ""
    events: str = ""


class Measurement(msgspec.Struct):
    """One run of wrk, and the memory of the processes in the middle of it."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    connection_errors: int
    statuses: dict[str, int]
    memory: list["Memory"] = msgspec.field(default_factory=list)

    def rate(self, kind: str) -> float:
        """What was done in a second: requests, or whole flows of three requests."""
        return self.requests / (FLOW_REQUESTS if kind == "flow" else 1) / self.seconds

    def errors(self, expected: frozenset[str]) -> dict[str, int]:
        """Answers with another status than the expected, and connections that failed or waited too long.

        That there was no answer at all is an error, too.
        """
        errors = {status: count for status, count in self.statuses.items() if status not in expected}
        others = {"connection": self.connection_errors, "no answer": int(not self.requests)}
        return errors | {name: count for name, count in others.items() if count}


class Memory(msgspec.Struct):
    """Resident and proportional memory of one process."""

    process: str
    rss_mib: float
    pss_mib: float


class Wrk:
    """The load generator, from PATH or from Debian."""

    def __init__(self) -> None:
        found = shutil.which("wrk")
        self._command = [found] if found else packages.command(("wrk",), "usr/bin/wrk")

    def start(self, url: str, load: Load, seconds: int) -> "subprocess.Popen[str]":
        """Begin to send; `finish` waits for the end."""
        return subprocess.Popen(
            [
                *self._command,
                "--threads=1",
                f"--connections={load.connections}",
                f"--duration={seconds}s",
                f"--timeout={TIMEOUT_S}s",
                f"--script={SCRIPT}",
                url,
                *(load.kind, str(load.products), load.keys, str(load.delay_ms), load.api_key, load.events),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> Measurement:
        """Wait until wrk has ended; returns what it saw."""
        output, _ = process.communicate()
        line = output.strip().rpartition("\n")[2]
        if process.returncode != 0 or not line.startswith("{"):
            raise LoadError(f"wrk failed:\n{output}")
        return msgspec.json.decode(line, type=Measurement)

    def run(self, url: str, load: Load, seconds: int, halfway: Callable[[], list[Memory]] = list) -> Measurement:
        """Send for so many seconds; `halfway` looks at the memory of processes under load."""
        process = self.start(url, load, seconds)
        try:
            process.wait(seconds / 2)
        except subprocess.TimeoutExpired:
            memory = halfway()
        else:
            memory = []
        measurement = self.finish(process)
        measurement.memory = memory
        return measurement


def memory_of(processes: dict[int, str]) -> list[Memory]:
    """The memory of processes by id, under these names."""
    return [_memory(process_id, name) for process_id, name in processes.items()]


def _memory(process_id: int, name: str) -> Memory:
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    return Memory(name, round(kib["Rss"] / 1024, 1), round(kib["Pss"] / 1024, 1))
