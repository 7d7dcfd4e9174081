"""Who competes: the service as script/server runs it, and the baselines with the settings to choose from."""

import http.client
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from bench.revision import HERE, Revision
from stack.process import Server, children, free_port

ASYNCIO = ("-m", "gunicorn")
THREADS = ("-m", "bench.baselines")


@dataclass(frozen=True)
class Variant:
    """One way of running a contender: how gunicorn is started, its options, and the connections of each worker."""

    name: str
    options: tuple[str, ...] = ()
    pool_size: int = 1


@dataclass(frozen=True)
class Contender:
    """A web application of a revision of this project.

    `database` is where it finds its tables, `settings` are variables beside the usual ones.

    Of the variants the first was the best in most sweeps: a quick look tries no other.
    """

    name: str
    application: str
    variants: tuple[Variant, ...] = (Variant("as script/server runs it"),)
    gunicorn: tuple[str, ...] = ASYNCIO
    database: str = "product"
    settings: tuple[tuple[str, str], ...] = ()
    revision: Revision = HERE


def _threads(workers: int, threads: int, *, worker_class: str = "gthread") -> Variant:
    """A variant on threads, each of which has a connection."""
    options = ("--worker-class", worker_class, "--workers", str(workers), "--threads", str(threads))
    return Variant(f"{worker_class}, {workers} x {threads} threads and connections", options, threads)


def _pool(size: int) -> Variant:
    return Variant(f"asgi, {size} connections a worker", pool_size=size)


_THREADS = (
    *(_threads(2, 8), _threads(2, 16), _threads(2, 32), _threads(2, 64), _threads(4, 8), _threads(4, 16)),
    # Without keep-alive, as the class has none: shown so that nobody wonders.
    _threads(8, 1, worker_class="sync"),
)

SERVICE = Contender("service", "service.app:create_app()")
CLIENT_SIDE = Contender(
    "client-side transaction",
    "bench.baselines.client_side:create_app()",
    tuple(dict.fromkeys((_threads(4, 8), *_THREADS))),
    THREADS,
    "client_side",
)
ONE_CALL_THREADS = Contender("one CALL, threads", "bench.baselines.one_call_threads:create_app()", _THREADS, THREADS)
ONE_CALL_ASYNCIO = Contender(
    "one CALL, asyncio", "bench.baselines.one_call_asyncio:create_app()", (_pool(4), _pool(8), _pool(16), _pool(32))
)
REDIS_ONLY = Contender(
    "Redis only", "bench.baselines.redis_only:create_app()", (_pool(64), _pool(16), _pool(4)), database="redis"
)
EMPTY = Contender("empty answer", "bench.baselines.empty:create_app()", database="none")


@dataclass(frozen=True)
class Address:
    """What a contender is told of the stack: the service's own account, and what a baseline needs."""

    mysql_url: str
    redis_url: str
    baseline_url: str


class Gunicorn(Server):
    """A contender under gunicorn with the settings of its revision; its log goes to a file, which begins anew."""

    def __init__(self, folder: Path, contender: Contender, variant: Variant, address: Address) -> None:
        """Choose a port; nothing starts before `start`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._output = folder / "log"
        self._output.unlink(missing_ok=True)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        revision = contender.revision
        command = [
            *(str(revision.python), *contender.gunicorn, "--config", "gunicorn.conf.py"),
            *("--name", f"{folder}/", *variant.options, contender.application),
        ]
        environment = {
            **os.environ,
            "MYSQL_URL": address.mysql_url,
            "REDIS_URL": address.redis_url,
            "BASELINE_URL": address.baseline_url,
            "POOL_SIZE": str(variant.pool_size),
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
            **dict(contender.settings),
        }
        death_signal = signal.SIGTERM  # lets gunicorn end its workers
        super().__init__(
            *(contender.name, command, folder),
            log=self._output,
            environment=environment,
            working_directory=revision.folder,
            death_signal=death_signal,
        )

    def answers(self) -> bool:
        """Whether it has its port and takes requests; what answers 404 lives."""
        if f"Listening at: {self.url}" not in self._output.read_text():  # else a stranger might answer
            return False
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def is_idle(self) -> bool:
        """Whether every thread of its processes sleeps."""
        threads = [thread for process_id in self.processes() for thread in Path(f"/proc/{process_id}/task").iterdir()]
        try:
            return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "S" for thread in threads)
        except (FileNotFoundError, ProcessLookupError):  # one ended while we looked
            return False

    def processes(self) -> dict[int, str]:
        """Its processes by id."""
        master = int((self._folder / "pid").read_text())
        return {master: "gunicorn"} | dict.fromkeys(children(master), f"{self.name}, a worker")
