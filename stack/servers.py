"""The MySQL and the Redis of a run: those that the environment names, else private ones.

`python -m stack.servers [name]` starts private ones by hand, prints their URLs, and stops them at Ctrl-C.
"""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from service.settings import load_environment
from stack import programs
from stack.errors import StackError
from stack.group import Group
from stack.mysql import MysqlServer
from stack.process import Server
from stack.redis import RedisServer

PROJECT = Path(__file__).resolve().parent.parent
Private = TypeVar("Private", bound=Server | Group)
LONGEST_SOCKET_BASE = 60  # of the 107 bytes that a socket's path may have


@dataclass(frozen=True)
class Servers:
    """Where MySQL and Redis are, and the handles of those that this run started."""

    folder: Path
    mysql_url: str
    redis_url: str
    private: tuple[Server | Group, ...]

    @property
    def processes(self) -> list[Server]:
        """Every server that this run started, the members of a group included."""
        return [
            process
            for server in self.private
            for process in (server.members if isinstance(server, Group) else [server])
        ]

    @property
    def mysql(self) -> MysqlServer:
        """The private MySQL server, to kill, pause or restart."""
        return self._private(MysqlServer, "MySQL")

    @property
    def group(self) -> Group:
        """The private MySQL servers that are a group."""
        return self._private(Group, "MySQL")

    @property
    def redis(self) -> RedisServer:
        """The private Redis server, to kill, pause or restart."""
        return self._private(RedisServer, "Redis")

    def _private(self, kind: type[Private], name: str) -> Private:
        for server in self.private:
            if isinstance(server, kind):
                return server
        raise StackError(f"this {name} was not started here: unset {name.upper()}_URL to get a private one")


@contextmanager
def start(name: str, *, buffer_pool_mib: int = 256, members: int = 1) -> Iterator[Servers]:
    """Servers for one run, stopped when the block ends. Their data stays in `.local/<name>/`.

    With several members MySQL is a group of that many servers. MYSQL_URL and REDIS_URL, in the environment or `.env`,
    name servers to use instead of private ones. One run of a name at a time.
    """
    load_environment()
    folder = PROJECT / ".local" / name
    folder.mkdir(parents=True, exist_ok=True)
    mysql_url, redis_url = os.environ.get("MYSQL_URL"), os.environ.get("REDIS_URL")
    with _only_run_in(folder), socket_folder(folder) as sockets, ExitStack() as started:
        private: list[Server | Group] = []
        if not mysql_url:
            program = programs.find_mysqld()
            mysql = (
                Group(folder, sockets, program, buffer_pool_mib, members)
                if members > 1
                else MysqlServer(folder / "mysql", sockets, program, buffer_pool_mib)
            )
            mysql_url = str(mysql.url)
            private.append(mysql)
        if not redis_url:
            redis = RedisServer(folder / "redis", sockets, programs.find_redis_server())
            redis_url = redis.url
            private.append(redis)
        for server in private:
            started.callback(server.stop)
            start_timed(server)
        yield Servers(folder, mysql_url, redis_url, tuple(private))


def start_timed(server: Server | Group) -> None:
    """Start a server and say how long it took."""
    started_at = time.monotonic()
    server.start()
    print(f"{server.name} started in {time.monotonic() - started_at:.1f} s", flush=True)


@contextmanager
def _only_run_in(folder: Path) -> Iterator[None]:
    """Refuse a second run of one name; the kernel takes the lock from a run that dies."""
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = f"process {file.read()}"
            raise StackError(f"already running in this clone, as {holder}: stop that first ({folder})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def socket_folder(folder: Path) -> Iterator[Path]:
    """A private folder with a short path: a socket's must stay under 107 bytes, wherever the clone is."""
    link = folder / "sockets"
    if link.is_symlink():  # a killed run's
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    base = tempfile.gettempdir()
    if len(base) > LONGEST_SOCKET_BASE:
        base = "/tmp"  # noqa: S108 mkdtemp makes a folder that is ours alone
    sockets = Path(tempfile.mkdtemp(prefix="checkout-", dir=base))
    link.symlink_to(sockets)
    try:
        yield sockets
    finally:
        link.unlink()
        shutil.rmtree(sockets)


def main() -> None:
    """Run private servers until a signal ends it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with start(sys.argv[1] if len(sys.argv) > 1 else "manual") as servers:
            print(f"export MYSQL_URL='{servers.mysql_url}'\nexport REDIS_URL='{servers.redis_url}'", flush=True)
            signal.pause()
    except StackError as error:
        sys.exit(f"stack.servers: {error}")
    except KeyboardInterrupt:
        print("Stopped", flush=True)


if __name__ == "__main__":
    main()
