"""The contenders: the service as script/server runs it, and the baselines with the configurations to choose from."""

import http
import os
from dataclasses import dataclass
from pathlib import Path

from bench.revision import WORKING_TREE, Revision
from stack.gunicorn import GunicornServer
from stack.process import free_port

GUNICORN = ("-m", "gunicorn")
GUNICORN_WITH_C_DRIVER = ("-m", "bench.baselines")


@dataclass(frozen=True)
class Variant:
    """One configuration of a contender: options of gunicorn, and the number of database connections per worker."""

    name: str
    options: tuple[str, ...] = ()
    pool_size: int = 1


@dataclass(frozen=True)
class Contender:
    """A web application that is measured: the service of a revision, or a baseline.

    `launcher` holds the arguments with which Python starts gunicorn, `database` is the key of its database in
    `Runner.databases`, and `settings` are further environment variables. The run measures all variants and uses the
    best one; --quick uses the first, which was the best in most runs.
    """

    name: str
    application: str
    variants: tuple[Variant, ...] = (Variant("as script/server runs it"),)
    launcher: tuple[str, ...] = GUNICORN
    database: str = "product"
    settings: tuple[tuple[str, str], ...] = ()
    revision: Revision = WORKING_TREE


def _threads(workers: int, threads: int, *, worker_class: str = "gthread") -> Variant:
    """A variant with threads, each of which has a connection."""
    options = ("--worker-class", worker_class, "--workers", str(workers), "--threads", str(threads))
    return Variant(f"{worker_class}, {workers} x {threads} threads and connections", options, threads)


def _pool(size: int) -> Variant:
    """A variant on asyncio, with so many connections per worker."""
    return Variant(f"asyncio, {size} connections per worker", pool_size=size)


_THREAD_VARIANTS = (
    *(_threads(2, 8), _threads(2, 16), _threads(4, 8)),
    # gunicorn's default worker class, which has no keep-alive.
    _threads(8, 1, worker_class="sync"),
)

SERVICE = Contender("service", "service.app:create_app()")
CLIENT_SIDE = Contender(
    "client-side transactions",
    "bench.baselines.client_side:create_app()",
    tuple(dict.fromkeys((_threads(4, 8), *_THREAD_VARIANTS))),
    GUNICORN_WITH_C_DRIVER,
    "client_side",
)
ONE_ROW_PER_UNIT = Contender(
    "one row per unit",
    "bench.baselines.one_row_per_unit:create_app()",
    _THREAD_VARIANTS,
    GUNICORN_WITH_C_DRIVER,
    "one_row_per_unit",
)
ONE_CALL_THREADS = Contender(
    "one CALL, threads",
    "bench.baselines.one_call_threads:create_app()",
    _THREAD_VARIANTS,
    GUNICORN_WITH_C_DRIVER,
)
ONE_CALL_ASYNCIO = Contender("one CALL, asyncio", "bench.baselines.one_call_asyncio:create_app()", (_pool(4), _pool(8)))
REDIS_ONLY = Contender(
    "Redis only", "bench.baselines.redis_only:create_app()", (_pool(64), _pool(16)), database="redis"
)
EMPTY = Contender("empty answer", "bench.baselines.empty:create_app()", database="none")


@dataclass(frozen=True)
class ServerUrls:
    """The URLs that a contender gets: MySQL with the service's account, Redis, and the database of a baseline."""

    mysql: str
    redis: str
    baseline: str


class Gunicorn(GunicornServer):
    """gunicorn with one contender, run from the files of its revision. Its output goes to a new log file."""

    def __init__(self, folder: Path, contender: Contender, variant: Variant, urls: ServerUrls) -> None:
        """Choose a port; `start` starts gunicorn."""
        self._output = folder / "log"
        self._output.unlink(missing_ok=True)
        port = free_port()
        environment = {
            **os.environ,
            "MYSQL_URL": urls.mysql,
            "REDIS_URL": urls.redis,
            "BASELINE_URL": urls.baseline,
            "POOL_SIZE": str(variant.pool_size),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            **dict(contender.settings),
        }
        super().__init__(
            *(contender.name, folder, ("127.0.0.1", port), environment),
            command=[
                *(str(contender.revision.python), *contender.launcher, "--config", "gunicorn.conf.py"),
                *(*variant.options, contender.application),
            ],
            log=self._output,
            working_directory=contender.revision.folder,
        )

    def answers(self) -> bool:
        """Whether gunicorn listens on its port and serves requests; a 404 counts as served."""
        if f"Listening at: {self.url}" not in self._output.read_text():  # otherwise another program might answer
            return False
        status = self.status_of("/")
        return status is not None and status < http.HTTPStatus.INTERNAL_SERVER_ERROR

    def is_idle(self) -> bool:
        """Whether all threads of its processes are sleeping."""
        threads = [thread for process_id in self.processes() for thread in Path(f"/proc/{process_id}/task").iterdir()]
        try:
            return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "S" for thread in threads)
        except (FileNotFoundError, ProcessLookupError):  # a thread or process has ended meanwhile
            return False

    def processes(self) -> dict[int, str]:
        """The names of its processes, by process id."""
        master = {self.process_id: "gunicorn"} if self.process_id else {}
        return master | dict.fromkeys(self.workers(), f"{self.name}, worker")
