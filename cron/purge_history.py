"""Delete expired idempotency keys, and history that is older than history_ttl_s or event_ttl_s."""

from typing import NamedTuple

import structlog

from cron import job
from service.database import Connection, rows_of

ROW_LIMIT = 1000

log = structlog.get_logger()


class Purged(NamedTuple):
    """The row of purge_history: how many rows it deleted."""

    idempotency_keys: int
    holds: int
    orders: int
    payment_events: int
    sweeps: int
    events: int


async def purge(connection: Connection, _once: bool) -> bool:
    """Purge in short transactions until nothing is left."""
    while True:
        rows, *_ = await connection.call("purge_history", ROW_LIMIT)
        (purged,) = rows_of(Purged, rows)
        if not any(purged):
            return True
        log.info("history_purged", **purged._asdict())


if __name__ == "__main__":
    job.run("purge_history", __doc__, purge)
