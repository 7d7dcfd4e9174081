"""Delete idempotency keys past their time, and history that no sale needs."""

import structlog

from cron import job
from service.database import Connection

ROW_LIMIT = 1000

log = structlog.get_logger()


async def purge(connection: Connection, _once: bool) -> bool:
    """Purge in short transactions until nothing is left to purge."""
    while True:
        [[(idempotency_keys, holds, orders, payment_events, sweeps)]] = await connection.call(
            "purge_history", ROW_LIMIT
        )
        if not any((idempotency_keys, holds, orders, payment_events, sweeps)):
            return True
        log.info(
            "history_purged",
            idempotency_keys=idempotency_keys,
            holds=holds,
            orders=orders,
            payment_events=payment_events,
            sweeps=sweeps,
        )


if __name__ == "__main__":
    job.run("purge_history", __doc__, purge)
