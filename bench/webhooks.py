"""Payment events that are signed in advance, because signing would slow down the load generator."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks import Webhook

EVENTS = 50_000
UNKNOWN_ORDER_ID = 2**62  # its events are recorded and wait for their order, the cheapest outcome of a webhook


def write_events(path: Path, secret: str) -> None:
    """Write four lines per event: webhook-id, webhook-timestamp (s), webhook-signature, body."""
    webhook = Webhook(secret)
    now = datetime.now(UTC)
    with path.open("w") as file:
        for _ in range(EVENTS):
            key = str(uuid.uuid4())
            body = f'{{"idempotency_key":"{key}","order_id":{UNKNOWN_ORDER_ID},"status":"success"}}'
            file.write(f"{key}\n{int(now.timestamp())}\n{webhook.sign(key, now, body)}\n{body}\n")
