"""Child processes that end with this process, and servers that a killed run has left behind.

This module uses the standard library only, because `stack.virtual_environment` imports it.
"""

import ctypes
import os
import random
import re
import select
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from stack.errors import StackError

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
COMMAND_TIMEOUT_S = 600
POLL_INTERVAL_S = 0.02
PR_SET_PDEATHSIG = 1
# Below the ports that Linux uses for outgoing connections, so that none of those takes a server's port between a kill
# and a restart.
PORTS = range(20_000, 32_000)

_libc = ctypes.CDLL(None)
# The kernel sends a child its death signal when the *thread* that started it ends. So all servers are started by one
# thread that lives as long as this process, and a test may restart a server from a thread that ends sooner.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")


class Server(ABC):
    """A server in a process group of its own, which the kernel ends when this process dies.

    The command must contain the path of `folder`: by it, the next run recognises a server that a killed run has left
    behind, and does not kill another program that has got the same process id.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        working_directory: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Prepare the server; the kernel sends it `death_signal` when this process dies.

        Without `log`, its output goes where that of this process goes; without `working_directory`, it starts in that
        of this process.
        """
        self.name = name
        self._command = command
        self._folder = folder
        self._log = log
        self._environment = environment
        self._working_directory = working_directory
        self._death_signal = death_signal
        self._child: subprocess.Popen[bytes] | None = None
        self._last_answer = "no answer"

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server is ready for clients."""

    def start(self) -> None:
        """Start the server and wait until it answers; raises StackError."""
        if self.is_running():
            raise StackError(f"{self.name} is running already")
        self.kill_leftover()
        self._child = _starter.submit(self._spawn).result()
        self._pid_file.write_text(str(self._child.pid))
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Stop the server with SIGTERM, or with SIGKILL if it does not end within 30 s."""
        if self._child is None or not self.is_running():
            return
        self.resume()
        self._child.terminate()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not stop within {STOP_TIMEOUT_S} s: killed", flush=True)
            self.kill()

    def restart(self) -> None:
        """Stop the server if it is running, then start it at the same address."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill the server and its children (SIGKILL), and wait until the server has ended."""
        if self._child is not None and self.is_running():
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): it keeps its connections but does not answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a frozen server (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def is_running(self) -> bool:
        """Whether the server was started and has not ended; a frozen server is running."""
        return self._child is not None and self._child.poll() is None

    def kill_leftover(self) -> None:
        """Kill the server that an earlier, killed run has left behind, if there is one."""
        if self._pid_file.exists():
            text = self._pid_file.read_text()
            self._pid_file.unlink()
            if text:  # it is empty if that run was killed while writing it
                _kill_if_command_contains(f"{self._folder}/", int(text))

    def is_paused(self) -> bool:
        """Whether the server is frozen."""
        state = re.search(r"^State:\s+(\w)", Path(f"/proc/{self.process_id}/status").read_text(), re.M)
        return state is not None and state[1] == "T"

    @property
    def process_id(self) -> int | None:
        """The id of the server's process, also after its end; None before its start."""
        return self._child.pid if self._child else None

    def exit_code(self) -> int | None:
        """The exit code of the server, or the negative number of the signal that ended it; None while it is running."""
        return self._child.poll() if self._child else None

    def exit_message(self) -> str:
        """A message that the server ended unexpectedly, with its exit code and the end of its log."""
        return f"{self.name} ended unexpectedly (exit code {self.exit_code()}){self.see_log()}"

    def see_log(self) -> str:
        """The end of a message: the path of the log and its last lines."""
        if self._log is None:
            return ": its messages are above"
        tail = self._log.read_text(errors="replace").splitlines()[-5:]
        return "\n  ".join([f": see {self._log}, which ends", *tail])

    @property
    def _pid_file(self) -> Path:
        return self._folder / "pid"

    def _signal(self, number: signal.Signals) -> None:
        if self._child is None:
            raise StackError(f"{self.name} has not been started")
        self._child.send_signal(number)

    def _spawn(self) -> subprocess.Popen[bytes]:
        output = self._log.open("ab") if self._log else None
        try:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self._working_directory,
                start_new_session=True,  # Ctrl-C reaches only this process, which stops the servers in order
                preexec_fn=_end_with_this_process(self._death_signal),  # noqa: PLW1509 two system calls, no lock
            )
        finally:
            if output:
                output.close()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if not self.is_running():
                raise StackError(self.exit_message())
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ready after {START_TIMEOUT_S} s, {self._last_answer}{self.see_log()}"
                )
            time.sleep(POLL_INTERVAL_S)


def run(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, working_directory: Path | None = None
) -> None:
    """Run a command whose output goes to the terminal; raises StackError if it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        env=environment,
        cwd=working_directory,
        start_new_session=True,
        preexec_fn=_end_with_this_process(signal.SIGKILL),
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"exit code {done.returncode} of {' '.join(command)}, whose messages are above")


def output_of(command: Sequence[str]) -> str:
    """Run a command and return its output; raises StackError with its messages if it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            start_new_session=True,
            preexec_fn=_end_with_this_process(signal.SIGKILL),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"a command did not finish within {COMMAND_TIMEOUT_S} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise StackError(f"a command failed: {' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def children(process_id: int) -> set[int]:
    """Return the ids of the child processes that a process's main thread has started."""
    return set(map(int, Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()))


def free_port() -> int:
    """Return a loopback port on which nothing listens; raises StackError."""
    for port in random.sample(PORTS, 100):
        if port_is_free("127.0.0.1", port):
            return port
    raise StackError(f"no free port on 127.0.0.1 between {PORTS.start} and {PORTS.stop}")


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen on a port now."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return True
    except OSError:
        return False


def _end_with_this_process(death_signal: signal.Signals) -> Callable[[], None]:
    """Return a function that a child calls before it runs its program, so that it ends when this process dies."""
    return partial(_die_with_parent, int(death_signal), os.getpid())


def _die_with_parent(death_signal: int, parent_pid: int) -> None:
    _libc.prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent_pid:  # the parent died before the call above
        os._exit(1)


def _kill_if_command_contains(path: str, pid: int) -> None:
    """Kill a process and its group if its command line contains a path, and wait until it has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if os.fsencode(path) in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.killpg(pid, signal.SIGKILL)
            select.select([process], [], [])
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return
    finally:
        os.close(process)
