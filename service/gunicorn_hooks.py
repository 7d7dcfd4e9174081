"""What gunicorn calls in its master and in its workers; `gunicorn.conf.py` imports the hooks by name."""

import ctypes
import gc
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from typing import Any, NoReturn

import service.settings
from service.errors import SettingsError
from service.settings import Settings, is_loopback, load_settings

CONNECTION_LIMIT = 20_000
OTHER_FILES = 200  # that a worker opens beside its clients' connections
MEMORY_FOLDER = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 gunicorn makes private files there
PR_SET_PDEATHSIG = 1
GARBAGE_THRESHOLD = 50_000  # objects; a dozen requests reach Python's 700


def activate_settings() -> Settings:
    """Read the settings that the workers use from now on, and return them.

    A reload whose settings cannot be used prints why and keeps those that are active; a first start ends.
    """
    try:
        service.settings.active = load_settings()
    except SettingsError as error:
        if service.settings.active is None:
            sys.exit(f"cannot start: {error}")
        print(f"The settings stay as they were: {error}", file=sys.stderr)
    return active_settings()


def make_metrics_folder() -> None:
    """Make the folder in which the workers count. prometheus_client reads the variable when it is imported."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # a reload finds it set
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="checkout-metrics-", dir=MEMORY_FOLDER)


def worker_connection_limit() -> int:
    """Raise this process's limit of open files as far as it may; return how many clients a worker may have."""
    file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (file_limit, file_limit))
    return min(CONNECTION_LIMIT, file_limit - OTHER_FILES)


def on_starting(server: Any) -> None:
    """Refuse to start on a database that does not fit, or where payments could be forged."""
    from service.database import SchemaError, require_compatible_schema  # noqa: PLC0415 see make_metrics_folder

    _require_signatures_off_loopback(server.cfg.address)
    settings = active_settings()
    try:
        require_compatible_schema(settings.mysql_url)
    except SchemaError as error:
        _refuse_to_start(str(error))
    if not settings.webhook_secrets:
        print(
            "WARNING: WEBHOOK_SECRETS is empty: everybody on this machine can report that an order is paid.",
            file=sys.stderr,
        )


def when_ready(server: Any) -> None:
    """Check the sockets before any worker runs, because systemd may have bound some of them."""
    _require_signatures_off_loopback([listener.getsockname() for listener in server.LISTENERS])


def on_reload(server: Any) -> None:
    """Check the addresses again: a reload may have changed them, and the secrets."""
    _require_signatures_off_loopback(server.cfg.address)


def post_worker_init(_worker: object) -> None:
    """Prepare a worker process, once the application is loaded.

    A worker whose master was killed gets SIGTERM and stops in an orderly way; without that it would keep the port
    from the next master. Objects that exist by now live as long as the worker, so the garbage collector skips them,
    and it runs rarely: reference counting frees a batch's requests (an eighth of a hold's time).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 10, 10)


def child_exit(_server: object, worker: Any) -> None:
    """Drop the gauges of a worker that ended; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 see make_metrics_folder

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # has no type hints


def on_exit(_server: object) -> None:
    """Remove the folder of the metrics."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def _require_signatures_off_loopback(addresses: Iterable[Any]) -> None:
    """Refuse to start unless webhooks are signed or only this machine reaches every address.

    The addresses are those that gunicorn uses, because its command line may name others than HOST. The address of a
    unix socket is a path.
    """
    hosts = [address[0] for address in addresses if isinstance(address, tuple)]
    if not active_settings().webhook_secrets and not all(map(is_loopback, hosts)):
        _refuse_to_start("WEBHOOK_SECRETS: give at least one; otherwise the service listens on loopback only")


def _refuse_to_start(reason: str) -> NoReturn:
    """End the master and leave no folder behind."""
    on_exit(None)
    sys.exit(f"cannot start: {reason}")


def active_settings() -> Settings:
    """Return the settings that `activate_settings` has read last."""
    assert service.settings.active is not None, "activate_settings comes first"  # noqa: S101 a mistake of ours
    return service.settings.active
