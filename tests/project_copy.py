"""A copy of the project, like a fresh clone, and the stack that `script/server` runs in it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from stack.process import free_port
from stack.servers import PROJECT

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60  # script/server kills a server that does not stop within 30 s, and says so
POLL_INTERVAL_S = 0.05

WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
API_KEY = "the shop's key"
NOTHING_RUNS = "nothing runs in this clone: start script/server in another terminal first"


def copy_project(folder: Path) -> None:
    """Copy the files that git tracks or would add, and link to the project's virtual environment."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (PROJECT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    if (PROJECT / ".venv").exists():
        (folder / ".venv").symlink_to(PROJECT / ".venv")


class Copy:
    """A copy of the project, in which `script/server` can run on its own port."""

    def __init__(self, folder: Path) -> None:
        copy_project(folder)
        self.port = free_port()
        self.folder = folder
        self._output = folder / ".local" / "output"
        self._server: subprocess.Popen[bytes] | None = None
        inherited = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PASSWORD"))}
        self._environment = {**inherited, "PORT": str(self.port)}

    def start(self, *arguments: str) -> str:
        """Start `script/server` and wait until it is ready; returns its output so far."""
        self._output.parent.mkdir(exist_ok=True)
        with self._output.open("wb") as log:
            self._server = subprocess.Popen(
                ["script/server", *arguments],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while "Ready: " not in (output := self._output.read_text()):
            assert self._server.poll() is None, output
            assert time.monotonic() < deadline, output
            time.sleep(POLL_INTERVAL_S)
        return output

    def output(self) -> str:
        """Everything that `script/server` and the service have printed."""
        return self._output.read_text()

    def stop(self) -> None:
        """Stop `script/server` by SIGINT, as Ctrl-C does; do nothing if it does not run."""
        if self._server:
            self._server.send_signal(signal.SIGINT)
            assert self._server.wait(STOP_TIMEOUT_S) == 0, self._output.read_text()[-2000:]
            self._server = None

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in bash in the copy's folder; port 8000 is replaced by the copy's port."""
        typed = command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        return subprocess.run(
            ["bash", "-c", typed], cwd=self.folder, env=self._environment, capture_output=True, text=True
        )


@pytest.fixture(scope="package")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy whose stack runs; its webhooks need a signature, its other calls an API key.

    The tests of each folder whose conftest.py imports it share one.
    """
    running = Copy(tmp_path_factory.mktemp("copy"))
    digest = sha256(API_KEY.encode()).hexdigest()
    lines = (f"WEBHOOK_SECRETS={WEBHOOK_SECRET}", f"API_KEYS=shop:{digest}", f'API_KEY="{API_KEY}"')
    (running.folder / ".env").write_text("".join(f"{line}\n" for line in lines))
    running.start()
    yield running
    running.stop()
