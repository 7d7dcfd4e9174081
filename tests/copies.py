"""The project in another folder, as a person has it who has just cloned it, and what runs there."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from stack.servers import PROJECT

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
POLL_INTERVAL_S = 0.05


def copy_project(folder: Path) -> None:
    """Copy what git knows or would take; the virtual environment is the project's own."""
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
    """A copy of the project, in which `script/server` may run on a port of its own."""

    def __init__(self, folder: Path) -> None:
        copy_project(folder)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.folder = folder
        self._output = folder / ".local" / "output"
        self._server: subprocess.Popen[bytes] | None = None
        inherited = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PASSWORD"))}
        self._environment = {**inherited, "PORT": str(self.port)}

    def start(self) -> str:
        """Run `script/server` until it is ready; returns what it has printed by then."""
        self._output.parent.mkdir(exist_ok=True)
        with self._output.open("wb") as output:
            self._server = subprocess.Popen(
                ["script/server"], cwd=self.folder, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while "Ready: " not in (said := self._output.read_text()):
            assert self._server.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(POLL_INTERVAL_S)
        return said

    def output(self) -> str:
        """What `script/server` and the service have printed."""
        return self._output.read_text()

    def stop(self) -> None:
        """End `script/server` as Ctrl-C does, where it runs."""
        if self._server:
            self._server.send_signal(signal.SIGINT)
            assert self._server.wait(STOP_TIMEOUT_S) == 0, self._output.read_text()[-2000:]
            self._server = None

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as typed into bash in the copy's folder; port 8000 means the copy's own."""
        typed = command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        return subprocess.run(
            ["bash", "-c", typed], cwd=self.folder, env=self._environment, capture_output=True, text=True
        )
