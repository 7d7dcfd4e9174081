"""Compare every product's stock with its holds and orders; exit 1 and write a line where one differs."""

from typing import NamedTuple

import structlog

from cron import job
from service.database import Connection, rows_of

log = structlog.get_logger()


class Difference(NamedTuple):
    """A row of check_stock."""

    product_id: int
    total_stock: int
    available_stock: int
    held: int
    pending: int
    sold: int
    difference: int


async def check(connection: Connection, _once: bool) -> bool:
    """Return whether no product differs, and record the result for the metrics."""
    rows, *_ = await connection.call("check_stock")
    for difference in rows_of(Difference, rows):
        # Sums come as Decimal.
        log.error("stock_difference", **{name: int(number) for name, number in difference._asdict().items()})
    await connection.call("record_stock_check", len(rows))
    return not rows


if __name__ == "__main__":
    job.run("check_stock", __doc__, check)
