"""What every resource does with the row of its request: refuse, and log the outcome."""

import time
from datetime import datetime
from typing import Any

import falcon.asgi
import structlog

from service.batching import Entry
from service.errors import ERRORS, refusal
from service.requests import utc

# Columns that a problem shows where the refused row has them.
PROBLEM_COLUMNS = ("available_stock", "sale_starts_at", "sale_ends_at", "hold_id", "order_id")

log = structlog.get_logger()


def require_accepted(row: Any) -> None:
    """Raise the Problem of a refused row, with the columns that say more about the refusal."""
    if row.errno is not None:
        members: dict[str, Any] = {name: getattr(row, name, None) for name in PROBLEM_COLUMNS}
        for name, value in members.items():
            if isinstance(value, datetime):
                members[name] = utc(value)
        raise refusal(row.errno, **{name: value for name, value in members.items() if value is not None})


async def accepted_row(
    req: falcon.asgi.Request, subject: str, entry: Entry[Any, Any], **fields: Any
) -> tuple[Any, dict[str, Any]]:
    """Wait for the row of a request and return it with the fields of its log line.

    A refusal is logged as `<subject>_rejected` with its slug, and raised as its Problem.
    """
    row = await entry
    log_fields = {
        "request_id": req.context.request_id,
        **fields,
        "attempt": entry.attempt,
        "duration_ms": round((time.monotonic() - req.context.started_at) * 1000, 1),
    }
    if row.errno is not None:
        log.info(f"{subject}_rejected", reason=ERRORS[row.errno].slug, **log_fields)
    require_accepted(row)
    return row, log_fields
