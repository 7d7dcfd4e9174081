"""Refresh the cached products in Redis every second, so that product reads need not ask MySQL."""

import time

import msgspec
import structlog

from cron import job
from service.cache import ProductCache, connect_redis
from service.database import Connection, rows_of
from service.procedure_client import READ_BATCH_LIMIT, cached_values
from service.rows import Product

log = structlog.get_logger()


async def refresh(connection: Connection, once: bool) -> bool:
    """Read each cached product from MySQL and publish it."""
    cache = ProductCache(connect_redis(job.setting("REDIS_URL")))
    try:
        async for _ in job.seconds_of_this_minute(once):
            product_ids = await cache.product_ids()
            for start in range(0, len(product_ids), READ_BATCH_LIMIT):
                started_at = time.monotonic()
                chunk = product_ids[start : start + READ_BATCH_LIMIT]
                rows, *_ = await connection.call("get_products", msgspec.json.encode(chunk).decode())
                await cache.publish(cached_values(rows_of(Product, rows)), time.monotonic() - started_at)
        log.info("availability_refreshed", products=len(product_ids))
    finally:
        await cache.close()
    return True


if __name__ == "__main__":
    job.run("refresh_availability", __doc__, refresh)
