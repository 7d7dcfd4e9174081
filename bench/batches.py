"""`python -m bench.batches SIZE SECONDS`: call create_holds of MYSQL_URL over one connection, with batches of one size.

The URL is a variable of the environment, because every user can read a command line. The program prints "ready", waits
for a line of input, and then prints JSON: the number of holds, the seconds spent, and the median and 99th percentile of
the duration of a call.

The driver's C extension is imported before anything else, so that reading rows costs little beside the call.
"""

import contextlib
import json
import os
import statistics
import sys
import time
from typing import Any

with contextlib.suppress(ImportError):
    import _mysql_connector  # type: ignore[import-not-found,unused-ignore] # noqa: F401 loaded for its effect

import mysql.connector
import uuid_utils

from service.mysql_url import MysqlUrl

MAX_CALLS_PER_SECOND = 2_500  # more than one connection achieves
MAX_HOLDS_PER_SECOND = 150_000


def _batch(size: int) -> str:
    return json.dumps(
        [
            {"product_id": 1, "quantity": 1, "idempotency_key": str(uuid_utils.uuid7()), "is_generated_key": True}
            for _ in range(size)
        ]
    )


def main() -> None:
    """Prepare the batches, send them for SECONDS, and print the result."""
    size, seconds = map(int, sys.argv[1:])
    batches = [_batch(size) for _ in range(seconds * min(MAX_CALLS_PER_SECOND, MAX_HOLDS_PER_SECOND // size))]
    connection: Any = mysql.connector.connect(
        **MysqlUrl.parse(os.environ["MYSQL_URL"]).driver_options(), autocommit=True
    )
    cursor = connection.cursor()
    print("ready", flush=True)
    sys.stdin.readline()

    holds, durations_ms, started_at = 0, [], time.perf_counter()
    for batch in batches:
        called_at = time.perf_counter()
        holds += _call(cursor, batch)
        durations_ms.append((time.perf_counter() - called_at) * 1000)
        if time.perf_counter() - started_at > seconds:
            break
    elapsed_s = time.perf_counter() - started_at
    percentiles = statistics.quantiles(durations_ms, n=100)
    print(json.dumps({"holds": holds, "seconds": elapsed_s, "p50_ms": percentiles[49], "p99_ms": percentiles[98]}))


def _call(cursor: Any, batch: str) -> int:
    """Call create_holds and read all of its rows; returns the number of holds. Exits if a hold is refused."""
    cursor.execute("CALL create_holds(%s)", (batch,))
    rows = cursor.fetchall()
    while cursor.nextset():
        if cursor.with_rows:
            cursor.fetchall()
    if any(row[3] is not None for row in rows):
        sys.exit(f"a hold was refused: {rows}")
    return len(rows)


if __name__ == "__main__":
    main()
