"""One batch of deliveries to a receiver of events, as the program of cron makes it, without HTTP."""

import json
from typing import Any

from tests.support import Row, Session

LIMIT = 500


def create_receiver(session: Session, types: str | None = None) -> int:
    """Make a receiver of the events from now on; returns its id."""
    receiver_id: int = session.call("create_event_receiver", "https://shop.example/events", types)[0]["receiver_id"]
    return receiver_id


def next_batch(session: Session, receiver_id: int, limit: int = LIMIT) -> tuple[list[Row], int | None]:
    """The events that a receiver gets next, and the position that its report names."""
    events, ((through),) = session.call_all("list_deliveries", receiver_id, limit)
    return events, through["through_position"]


def deliver(session: Session, receiver_id: int, *, failing: Any = (), status: int = 500) -> list[int]:
    """Send one batch: some orders fail with a status, the rest is accepted. Returns the order of each event sent."""
    events, through = next_batch(session, receiver_id)
    failed: set[int] = set()
    results, sent = [], []
    for event in events:
        order_id = event["order_id"]
        if order_id not in failed:
            sent.append(order_id)
            results.append({"position": event["position"], "status": status if order_id in failing else 204})
            failed |= {order_id} & set(failing)
    if through is not None:
        session.call("report_deliveries", receiver_id, through, json.dumps(results))
    return sent


def state_of(session: Session, receiver_id: int) -> Row:
    """The receiver's row of event_deliveries."""
    (row,) = session.query("SELECT * FROM event_deliveries WHERE receiver_id = %s", receiver_id)
    return row
