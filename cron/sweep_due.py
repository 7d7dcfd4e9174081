"""Expire due holds and cancel overdue orders every second, and log each sweep, those of the EVENT included.

Where the server's EVENT scheduler is on, the EVENT sweeps nearly everything first; where it is off, this does.
"""

from datetime import datetime
from typing import NamedTuple

import structlog

from cron import job
from service.database import Connection, rows_of

SWEEP_LIMIT = 100_000
REPORT_LIMIT = 1000

log = structlog.get_logger()


class Sweep(NamedTuple):
    """A row of report_sweeps."""

    sweep_id: int
    swept_at: datetime
    holds: int
    orders: int
    units: int
    duration_ms: int


async def sweep(connection: Connection, once: bool) -> bool:
    """Enable the EVENT on a new primary, then sweep and report, once or until the minute ends."""
    await connection.call("enable_sweep")
    async for _ in job.seconds_of_this_minute(once):
        await connection.call("expire_due", SWEEP_LIMIT)
        rows, *_ = await connection.call("report_sweeps", REPORT_LIMIT)
        for swept in rows_of(Sweep, rows):
            log.info("hold_expired", **{**swept._asdict(), "swept_at": f"{swept.swept_at.isoformat()}Z"})
    return True


if __name__ == "__main__":
    job.run("sweep_due", __doc__, sweep)
