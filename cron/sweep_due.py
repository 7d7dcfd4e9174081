"""Release due holds and overdue orders, every second, and write a line for each sweep, the EVENT's too.

Where the server's EVENT scheduler is off this is what brings stock back; where it is on there is little left to do.
"""

import structlog

from cron import job
from service.database import Connection

SWEEP_LIMIT = 100_000
REPORT_LIMIT = 1000

log = structlog.get_logger()


async def sweep(connection: Connection, once: bool) -> bool:
    """Sweep and report, once or until the minute is over."""
    async for _ in job.seconds_of_this_minute(once):
        await connection.call("expire_due", SWEEP_LIMIT)
        (sweeps,) = await connection.call("report_sweeps", REPORT_LIMIT)
        for sweep_id, swept_at, holds, orders, units, duration_ms in sweeps:
            log.info(
                "hold_expired",
                sweep_id=sweep_id,
                swept_at=f"{swept_at.isoformat()}Z",
                holds=holds,
                orders=orders,
                units=units,
                duration_ms=duration_ms,
            )
    return True


if __name__ == "__main__":
    job.run("sweep_due", __doc__, sweep)
