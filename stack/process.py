"""Child processes that cannot outlive us, and what a killed predecessor left behind. Standard library only."""

import ctypes
import os
import random
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
# Below the range from which Linux takes ports for outgoing connections, so that none of them sits on a
# server's port between a kill and a restart.
PORTS = range(20_000, 32_000)

_libc = ctypes.CDLL(None)
# A child gets its death signal when the *thread* that started it ends. One thread that lives as long as this
# process starts all servers, so that a test may restart one from a short-lived thread.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")


class Server(ABC):
    """A server in a process group of its own, which the kernel ends when this process dies.

    A subclass says how to tell that the server answers. The path of `folder` stands in the command: it tells a
    leftover of an earlier run from a stranger.
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
        """`log` takes the server's output, `working_directory` is where it starts: without them, where ours are."""
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
        """Whether the server can be used."""

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if self.is_running():
            raise StackError(f"{self.name} is running already")
        self.kill_leftover()
        self._child = _starter.submit(self._spawn).result()
        self._pid_file.write_text(str(self._child.pid))
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End the server the polite way, and where that takes too long the other way."""
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
        """Stop the server if it runs, then start it at the same address."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End the server and its children at once (SIGKILL), and wait until it is gone."""
        if self._child is not None and self.is_running():
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): it keeps its connections and answers nobody."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def is_running(self) -> bool:
        """Whether the server was started and has not ended; a frozen one runs."""
        return self._child is not None and self._child.poll() is None

    def kill_leftover(self) -> None:
        """Kill the server of an earlier run that was itself killed, if there is one."""
        if self._pid_file.exists():
            text = self._pid_file.read_text()
            self._pid_file.unlink()
            if text:  # else it was killed while writing this
                _kill_if_it_names(f"{self._folder}/", int(text))

    def exit_message(self) -> str:
        """That the server ended, how, and where to read why."""
        code = self._child.returncode if self._child else None
        return f"{self.name} ended unexpectedly (exit code {code}){self.see_log()}"

    def see_log(self) -> str:
        """Where to read more, with the last lines."""
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
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop the servers in order
                preexec_fn=_tied_to_us(self._death_signal),  # noqa: PLW1509 two system calls, no lock
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
    """Run a command that shows its own messages; complain when it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        env=environment,
        cwd=working_directory,
        start_new_session=True,
        preexec_fn=_tied_to_us(signal.SIGKILL),
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"this failed with exit code {done.returncode}, its messages are above: {' '.join(command)}")


def output_of(command: Sequence[str]) -> str:
    """Run a command quietly and return what it printed; complain, with its messages, when it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            start_new_session=True,
            preexec_fn=_tied_to_us(signal.SIGKILL),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"this did not finish within {COMMAND_TIMEOUT_S} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise StackError(f"this failed: {' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def children(process_id: int) -> set[int]:
    """The ids of a process's children, as its main thread started them."""
    return set(map(int, Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()))


def free_port() -> int:
    """A loopback port on which nothing listens."""
    for port in random.sample(PORTS, 100):
        if port_is_free("127.0.0.1", port):
            return port
    raise StackError(f"no free port on 127.0.0.1 between {PORTS.start} and {PORTS.stop}")


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return True
    except OSError:
        return False


def _tied_to_us(death_signal: signal.Signals) -> Callable[[], None]:
    """What a child does before it becomes its program, so that it ends when we do."""
    return partial(_die_with_parent, int(death_signal), os.getpid())


def _die_with_parent(death_signal: int, parent_pid: int) -> None:
    _libc.prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent_pid:  # it died before the call above
        os._exit(1)


def _kill_if_it_names(path: str, pid: int) -> None:
    """Kill a process and its group if its command line has the path in it, and wait until it is gone."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if os.fsencode(path) in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.killpg(pid, signal.SIGKILL)
            select.select([process], [], [])
    except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
        return
    finally:
        os.close(process)
