"""Programs of this package that a scenario runs beside the load."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.load import LoadError


@contextmanager
def running(module: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a module until the end of the block, which begins once it has printed "ready"; raises LoadError."""
    command = [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise LoadError(f"bench.{module} did not start; its messages are above")
            yield process
        finally:
            process.kill()


def finish(process: "subprocess.Popen[str]") -> str:
    """End a program's input and wait for its end; returns its output. Raises LoadError if the program failed."""
    output, _ = process.communicate()
    if process.returncode != 0:
        raise LoadError("a program beside the load failed; its messages are above")
    return output
