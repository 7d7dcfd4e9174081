"""Apply waiting payment events whose order exists by now, and report events that waited too long as orphaned."""

from typing import NamedTuple

import structlog

from cron import job
from service.database import Connection, rows_of

EVENT_LIMIT = 1000

log = structlog.get_logger()


class SettledEvent(NamedTuple):
    """A row of settle_waiting_payments."""

    event_id: int
    idempotency_key: str
    order_id: int
    status: str
    outcome: str


async def settle(connection: Connection, _once: bool) -> bool:
    """Apply and report until nothing is left."""
    while True:
        rows, *_ = await connection.call("settle_waiting_payments", EVENT_LIMIT)
        for event in rows_of(SettledEvent, rows):
            write = log.warning if event.outcome == "orphaned" else log.info
            write(
                f"payment_{event.outcome}",
                event_id=event.event_id,
                order_id=event.order_id,
                status=event.status,
                outcome=event.outcome,
            )
        if not rows:
            return True


if __name__ == "__main__":
    job.run("settle_payments", __doc__, settle)
