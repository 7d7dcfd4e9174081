"""Settle payment events whose order exists after all, and report those that have waited too long as orphans."""

import structlog

from cron import job
from service.database import Connection

EVENT_LIMIT = 1000

log = structlog.get_logger()


async def settle(connection: Connection, _once: bool) -> bool:
    """Settle until nothing is left to settle."""
    while True:
        (events,) = await connection.call("settle_waiting_payments", EVENT_LIMIT)
        for event_id, _key, order_id, status, outcome in events:
            write = log.warning if outcome == "orphaned" else log.info
            write(f"payment_{outcome}", event_id=event_id, order_id=order_id, status=status, outcome=outcome)
        if not events:
            return True


if __name__ == "__main__":
    job.run("settle_payments", __doc__, settle)
