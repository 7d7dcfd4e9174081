"""`python -m bench.batches URL SIZE SECONDS`: one connection that calls create_holds with batches of one size.

Prints "ready", waits for a line, and prints the holds that were made, the seconds spent and what a call took. The
driver's C extension is loaded first, so that reading the answer costs little beside the call.
"""

import contextlib
import json
import statistics
import sys
import time
from typing import Any

with contextlib.suppress(ImportError):
    import _mysql_connector  # type: ignore[import-not-found,unused-ignore] # noqa: F401 loaded for its effect

import mysql.connector
import uuid_utils

from service.mysql_url import MysqlUrl

CALLS_A_SECOND = 2_500  # more than one connection reaches
HOLDS_A_SECOND = 150_000


def _batch(size: int) -> str:
    return json.dumps(
        [
            {"product_id": 1, "quantity": 1, "idempotency_key": str(uuid_utils.uuid7()), "is_generated_key": True}
            for _ in range(size)
        ]
    )


def main() -> None:
    """Make the batches beforehand, then send them."""
    url, size, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    batches = [_batch(size) for _ in range(seconds * min(CALLS_A_SECOND, HOLDS_A_SECOND // size))]
    connection: Any = mysql.connector.connect(**MysqlUrl.parse(url).driver_options(), autocommit=True)
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
    spent_s = time.perf_counter() - started_at
    percentiles = statistics.quantiles(durations_ms, n=100)
    print(json.dumps({"holds": holds, "seconds": spent_s, "p50_ms": percentiles[49], "p99_ms": percentiles[98]}))


def _call(cursor: Any, batch: str) -> int:
    """Send a batch, read the whole answer; returns the number of holds."""
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
