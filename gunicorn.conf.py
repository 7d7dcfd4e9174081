"""gunicorn's settings; `.env.example` explains the variables."""

import ctypes
import gc
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from typing import Any, NoReturn

from gunicorn.workers import gasgi

import service.settings
from service.http_connections import HttpConnection
from service.settings import SettingsError, is_loopback, load_settings

try:
    settings = load_settings()
except SettingsError as error:
    if service.settings.active is None:
        sys.exit(f"cannot start: {error}")
    print(f"The settings stay as they were: {error}", file=sys.stderr)
    settings = service.settings.active
service.settings.active = settings

# A request body is at most 16 KiB and its answer a few hundred bytes: nothing here needs a temporary file on disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 gunicorn makes a private file there
# The folder in which workers count, which prometheus_client wants to know when it is imported. A reload finds it set.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="checkout-metrics-", dir=worker_tmp_dir)

from prometheus_client.multiprocess import mark_process_dead

from service.database import SchemaError, require_compatible_schema

FILES_BESIDE_CONNECTIONS = 200


def most_connections() -> int:
    """Let this process open as many files as it may; how many of them one worker's clients may have."""
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    return min(20_000, most_files - FILES_BESIDE_CONNECTIONS)


bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.web_concurrency
worker_class = "asgi"
worker_connections = most_connections()
backlog = 4096  # connections that the kernel accepts for a busy worker; it drops those beyond
keepalive = 75
limit_request_fields = 64  # of 8 KiB at most: what a connection may hold before its request is whole
graceful_timeout = math.ceil(settings.request_deadline_s) + 8
control_socket_disable = True

PR_SET_PDEATHSIG = 1
GARBAGE_THRESHOLD = 50_000  # objects; Python's 700 are reached by a dozen requests


def post_worker_init(worker: Any) -> None:
    """Make a worker of this process.

    A stopping worker ends once its requests must have been answered: connections that idle do not keep it. The master
    goes on waiting for `graceful_timeout`, so that the worker has the time to close the gate.

    What is loaded by now lives as long as the worker: the garbage collector need not look at it again and again. Nor
    at a batch's requests while they are under way, which reference counting frees (an eighth of a hold's time).

    A worker whose master was killed stops in the same orderly way, at once: it would answer on its old connections for
    seconds more, and keep the port from the next master.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    gasgi.ASGIProtocol = HttpConnection
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 10, 10)
    worker.cfg.set("graceful_timeout", math.ceil(settings.request_deadline_s) + 1)
    if hasattr(worker, "loop"):  # the baselines of bench have other workers
        worker.loop.add_signal_handler(signal.SIGTERM, stop, worker)
        # gunicorn's worker would set the length of the accept queue to 100, the default of asyncio.
        worker.loop.create_server = partial(worker.loop.create_server, backlog=worker.cfg.backlog)


def stop(worker: Any) -> None:
    """Stop a worker; streams would go on until its patience is over."""
    worker.handle_exit_signal()
    if end_streams := worker.state.get("end_streams"):
        end_streams()


def on_starting(server: Any) -> None:
    """Refuse to start on a database that does not fit, or where payments may be forged, before any worker runs."""
    require_signatures_off_loopback(server.cfg.address)
    try:
        require_compatible_schema(settings.mysql_url)
    except (SchemaError, SettingsError) as error:
        refuse_to_start(str(error))
    if not settings.webhook_secrets:
        print(
            "WARNING: WEBHOOK_SECRETS is empty: anybody on this machine can say that an order is paid.", file=sys.stderr
        )


def when_ready(server: Any) -> None:
    """Look at the sockets, too, some of which systemd has bound; still before any worker runs."""
    require_signatures_off_loopback([listener.getsockname() for listener in server.LISTENERS])


def on_reload(server: Any) -> None:
    """Look at the addresses again: a reload may have changed them, and the secrets."""
    require_signatures_off_loopback(server.cfg.address)


def require_signatures_off_loopback(addresses: Iterable[Any]) -> None:
    """End unless webhooks are signed, or every address is this machine's alone; a socket's file is a plain path.

    The addresses that gunicorn uses: its command line may name others than HOST.
    """
    hosts = [address[0] for address in addresses if isinstance(address, tuple)]
    if not settings.webhook_secrets and not all(map(is_loopback, hosts)):
        refuse_to_start("WEBHOOK_SECRETS: give at least one; without, the service listens on loopback only")


def refuse_to_start(reason: str) -> NoReturn:
    """End, and leave nothing behind."""
    on_exit(None)
    sys.exit(f"cannot start: {reason}")


def child_exit(_server: object, worker: Any) -> None:
    """Forget what a worker that ended had waiting; what it counted stays."""
    mark_process_dead(worker.pid)


def on_exit(_server: object) -> None:
    """Clear away."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
