"""Compare every product's stock with its holds and orders; exit 1 and write a line where one differs."""

import structlog

from cron import job
from service.database import Connection

log = structlog.get_logger()


async def check(connection: Connection, _once: bool) -> bool:
    """Return whether all is well, and leave word of it for the metrics."""
    (rows,) = await connection.call("check_stock")
    for product_id, total_stock, available_stock, held, pending, sold, difference in rows:
        log.error(
            "stock_difference",
            product_id=product_id,
            total_stock=total_stock,
            available_stock=available_stock,
            held=int(held),
            pending=int(pending),
            sold=int(sold),
            difference=int(difference),
        )
    await connection.call("record_stock_check", len(rows))
    return not rows


if __name__ == "__main__":
    job.run("check_stock", __doc__, check)
