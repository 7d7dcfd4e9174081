"""Secrets are generated and rotated as SECURITY.md describes."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from stack.process import children
from stack.servers import PROJECT
from tests.project_copy import API_KEY, WEBHOOK_SECRET, Copy
from tests.stripe_events import delivery, event
from tests.support import PATIENCE_S, eventually

Reload = Callable[..., None]


@pytest.fixture
def reload(copy: Copy) -> Iterator[Reload]:
    """A function that writes `.env`, reloads gunicorn and waits for new workers; `.env` is restored after the test."""
    file = copy.folder / ".env"
    before = file.read_text()
    master = int((copy.folder / ".local/server/gunicorn/pid").read_text())

    def write_and_reload(*lines: str) -> None:
        old = children(master)
        file.write_text("\n".join(lines))
        os.kill(master, signal.SIGHUP)
        eventually(lambda: not children(master) & old)

    yield write_and_reload
    write_and_reload(before)
    eventually(lambda: status_of_payment(copy, WEBHOOK_SECRET) == 202 and status_of_read(copy, API_KEY) == 200)


def status_of_payment(copy: Copy, secret: str) -> int:
    """The status of a webhook that is signed with a secret, for an order that does not exist."""
    body, now = '{"idempotency_key":"rotation","order_id":4000000,"status":"failure"}', datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }
    address = f"http://127.0.0.1:{copy.port}/api/payments/webhook"
    return httpx.post(address, content=body, headers=headers, timeout=PATIENCE_S).status_code


def statuses_of_stripe_events(copy: Copy) -> list[int]:
    """The statuses of an event of Stripe that is signed with an old and with a new secret."""
    requests = [delivery(event("customer.created", {"id": "cus_1"}), secret) for secret in ("whsec_old", "whsec_new")]
    with httpx.Client(base_url=f"http://127.0.0.1:{copy.port}", timeout=PATIENCE_S) as client:
        return [client.request(**request).status_code for request in requests]


def status_of_read(copy: Copy, key: str | None) -> int:
    """The status of a read of product 1 with an API key."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"http://127.0.0.1:{copy.port}/api/products/1"
    return httpx.get(address, headers=headers, timeout=PATIENCE_S).status_code


def command_of_security(beginning: str) -> str:
    """The command of SECURITY.md with this beginning."""
    (command,) = re.findall(rf"`({re.escape(beginning)}[^`]*)`", (PROJECT / "SECURITY.md").read_text())
    return str(command)


def test_a_webhook_secret_is_generated_and_rotated_by_reloads(copy: Copy, reload: Reload) -> None:
    new = copy.run(command_of_security("echo")).stdout.strip()
    eventually(lambda: (status_of_payment(copy, WEBHOOK_SECRET), status_of_payment(copy, new)) == (202, 401))
    reload(f"WEBHOOK_SECRETS={WEBHOOK_SECRET},{new}")
    eventually(lambda: (status_of_payment(copy, WEBHOOK_SECRET), status_of_payment(copy, new)) == (202, 202))
    reload(f"WEBHOOK_SECRETS={new}")
    eventually(lambda: (status_of_payment(copy, WEBHOOK_SECRET), status_of_payment(copy, new)) == (401, 202))


def test_a_reload_with_an_invalid_setting_keeps_the_active_settings(copy: Copy, reload: Reload) -> None:
    reload(f"WEBHOOK_SECRETS={WEBHOOK_SECRET},whsec_typo")
    eventually(lambda: "The settings stay as they were: " in copy.output())
    assert "whsec_typo" not in copy.output()
    eventually(lambda: copy.output().rpartition("The settings stay")[2].count("Application startup complete") >= 2)
    eventually(lambda: status_of_payment(copy, WEBHOOK_SECRET) == 202)


def test_the_webhook_of_stripe_is_turned_on_and_its_secret_rotated_by_reloads(copy: Copy, reload: Reload) -> None:
    eventually(lambda: statuses_of_stripe_events(copy) == [404, 404])
    others = (f"WEBHOOK_SECRETS={WEBHOOK_SECRET}", "STRIPE_CURRENCY=EUR")
    reload(*others, "STRIPE_WEBHOOK_SECRETS=whsec_old,whsec_new")
    eventually(lambda: statuses_of_stripe_events(copy) == [200, 200])
    reload(*others, "STRIPE_WEBHOOK_SECRETS=whsec_new")
    eventually(lambda: statuses_of_stripe_events(copy) == [401, 200])


def test_an_api_key_is_generated_and_rotated_by_reloads(copy: Copy, reload: Reload) -> None:
    (old, old_digest), (new, new_digest) = (
        copy.run(command_of_security("key=") + '; echo "$key"').stdout.replace("  -", "").split()[::-1]
        for _ in range(2)
    )
    reload(f"WEBHOOK_SECRETS={WEBHOOK_SECRET}", f"API_KEYS=shop:{old_digest}")
    eventually(lambda: [status_of_read(copy, key) for key in (None, old, new)] == [401, 200, 401])
    reload(f"WEBHOOK_SECRETS={WEBHOOK_SECRET}", f"API_KEYS=shop:{old_digest},shop:{new_digest}")
    eventually(lambda: [status_of_read(copy, key) for key in (None, old, new)] == [401, 200, 200])
    reload(f"WEBHOOK_SECRETS={WEBHOOK_SECRET}", f"API_KEYS=shop:{new_digest}")
    eventually(lambda: [status_of_read(copy, key) for key in (None, old, new)] == [401, 401, 200])
