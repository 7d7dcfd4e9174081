"""The command line, connection and lock of every cron program. The lock keeps runs of one program from overlapping."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import mysql.connector
import structlog

from service.database import Connection
from service.errors import SettingsError
from service.logs import configure_logs
from service.mysql_url import MysqlUrl
from service.primary import Primary
from service.settings import load_environment

CALL_TIMEOUT_S = 300
LOCK_WAIT_TIMEOUT_S = 2

log = structlog.get_logger()


def run(name: str, description: str, work: Callable[[Connection, bool], Awaitable[bool]]) -> None:
    """Run a job as the program of that name. Exits with 1 where `work` returns False or fails, else with 0.

    `work` gets a connection to MYSQL_URL, and whether --once was given.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m cron.{name}",
        description=description,
        epilog="Settings, from the environment or .env: MYSQL_URL (account checkout_cron) and, for"
        " refresh_availability, REDIS_URL.",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="run once; without it, jobs that work every second go on until the minute ends",
    )
    arguments = parser.parse_args()
    configure_logs()
    load_environment()
    try:
        is_well = asyncio.run(_run_locked(name, setting("MYSQL_URL"), work, arguments.once))
    except SettingsError as error:
        sys.exit(f"{name}: {error}")
    except (mysql.connector.Error, OSError) as error:
        log.error("job_failed", job=name, errno=getattr(error, "errno", None), error=str(error) or type(error).__name__)
        sys.exit(1)
    sys.exit(0 if is_well else 1)


def setting(name: str) -> str:
    """Return a variable of the environment. Raises SettingsError where it is missing."""
    value = os.environ.get(name)
    if not value:
        raise SettingsError(f"{name} is not set; see .env.example")
    return value


def end_of_this_minute() -> float:
    """Return the Unix time at which cron starts the next run."""
    return (time.time() // 60 + 1) * 60


async def seconds_of_this_minute(once: bool) -> AsyncIterator[None]:
    """Yield now, and at every whole second until the minute ends, when cron starts the next run."""
    ends_at = end_of_this_minute()
    yield
    while not once and (next_at := time.time() // 1 + 1) < ends_at:
        await asyncio.sleep(next_at - time.time())
        yield


async def _run_locked(name: str, url: str, work: Callable[[Connection, bool], Awaitable[bool]], once: bool) -> bool:
    primary = Primary(MysqlUrl.parse(url))
    holder, worker = Connection(primary), Connection(primary, call_timeout_s=CALL_TIMEOUT_S)
    try:
        # Wait a moment, because the run before may be about to end. MySQL releases the lock when its connection ends.
        [[(has_lock,)]] = await holder.execute(
            "SELECT GET_LOCK(LEFT(CONCAT('cron.', %s, '.', DATABASE()), 64), %s)", name, LOCK_WAIT_TIMEOUT_S
        )
        if not has_lock:
            log.info("job_overlapped", job=name)
            return True
        return await work(worker, once)
    finally:
        await holder.close()
        await worker.close()
        await primary.close()
