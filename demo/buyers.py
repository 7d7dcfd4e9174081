"""The simulated buyers of a flash sale.

Each buyer arrives, tries to hold one unit, and then behaves in one of several ways: most pay, some abandon their hold,
some pay twice, some return what they have bought. The seed determines who arrives when and how each buyer behaves;
concurrency decides who gets a unit.
"""

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from demo.client import Client, Response

# How many of a hundred buyers who got a unit at once behave in which way. A buyer who waited for a unit always pays.
BEHAVIOURS = {"pay": 70, "abandon": 12, "release": 5, "fail to pay": 4, "pay twice": 4, "pay late": 3, "return": 2}
WAITING_SHARE = 0.2  # of the buyers who were refused: they try again until all units are paid
ARRIVAL_SHAPE, ARRIVAL_SCALE_S = 2, 0.9  # of a gamma distribution: most buyers arrive within three seconds
PAUSE_SHARE = (0.05, 0.4)  # of the deadline: how long a buyer pauses before each step
RETRY_INTERVAL_S = (1.0, 3.0)
REDELIVERED_SHARE = 0.25  # of the webhooks
LATENESS_S = 3.0  # after the deadline, when the sweep has cancelled the order
MAX_ATTEMPTS = 8


class RequestFailed(Exception):
    """A request got an unexpected response, or none in all of its attempts."""


class Buyers:
    """Buyers of one product, the responses that they get, and counts of what they do."""

    def __init__(
        self, client: Client, product_id: int, number: int, *, deadline_s: float, secret: str | None, seed: int
    ) -> None:
        """Prepare the buyers; holds and unpaid orders end after `deadline_s`, and `secret` signs webhooks if set."""
        self.responses: list[Response] = []
        self.counts: Counter[str] = Counter()
        self.have_left = False
        self.returning = 0  # buyers whose unit is going to be available again
        self.is_sold_out = False  # set once all units are paid, so that no buyer waits any longer
        self._client = client
        self._product_id = product_id
        self._number = number
        self._deadline_s = deadline_s
        self._webhook = Webhook(secret) if secret else None
        self._random = random.Random(seed)  # noqa: S311 simulated behaviour is no secret
        self._behaviours: Mapping[str, Callable[[int], Any]] = {
            "pay": self._pay,
            "abandon": self._abandon,
            "release": self._release,
            "fail to pay": self._fail_to_pay,
            "pay twice": self._pay_twice,
            "pay late": self._pay_late,
            "return": self._return,
        }

    async def run(self) -> None:
        """Simulate all buyers until the last one has left; raises RequestFailed."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._number):
                tasks.create_task(self._simulate(self._random.gammavariate(ARRIVAL_SHAPE, ARRIVAL_SCALE_S)))
        self.have_left = True

    async def _simulate(self, arrival_s: float) -> None:
        """Simulate one buyer."""
        await asyncio.sleep(arrival_s)
        self.counts["arrived"] += 1
        (behaviour,) = self._random.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))
        hold_id = await self._hold()
        if hold_id is None and self._random.random() < WAITING_SHARE:
            behaviour, hold_id = "pay", await self._wait_for_hold()
        if hold_id is None:
            self.counts["left without a unit"] += 1
            return
        self.counts[behaviour] += 1
        await self._pause()
        await self._behaviours[behaviour](hold_id)

    async def _hold(self) -> int | None:
        """Try to hold a unit; returns the hold's id, or None if no unit is available."""
        response = await self._post("/api/holds", {"product_id": self._product_id, "quantity": 1}, {201, 409})
        self.counts["held" if response.status == 201 else "refused"] += 1
        return response.document.get("hold_id")

    async def _wait_for_hold(self) -> int | None:
        """Try to hold a unit again and again; returns the hold's id, or None once the product is sold out."""
        while not self.is_sold_out:
            await asyncio.sleep(self._random.uniform(*RETRY_INTERVAL_S))
            if hold_id := await self._hold():
                return hold_id
        return None

    async def _pay(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await self._pause()
            await self._deliver(order_id, "success")

    async def _abandon(self, _hold_id: int) -> None:
        """Let the hold expire."""

    async def _release(self, hold_id: int) -> None:
        await self._request("DELETE", f"/api/holds/{hold_id}", b"", {}, {204, 410})

    async def _fail_to_pay(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await self._pause()
            await self._deliver(order_id, "failure")

    async def _pay_twice(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await asyncio.gather(self._deliver(order_id, "success"), self._deliver(order_id, "success"))

    async def _pay_late(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await asyncio.sleep(self._deadline_s + LATENESS_S)
            await self._deliver(order_id, "success")

    async def _return(self, hold_id: int) -> None:
        """Pay, and have the unit refunded and restocked."""
        self.returning += 1
        order_id = await self._order(hold_id)
        if order_id is not None:
            await self._pause()
            if await self._deliver(order_id, "success") == "paid":
                await self._pause()
                await self._post(f"/api/orders/{order_id}/refunds", {"restock": True}, {201})
                self.counts["refunded"] += 1
        self.returning -= 1

    async def _order(self, hold_id: int) -> int | None:
        """Order a hold; returns the order's id, or None if the hold has expired."""
        response = await self._post("/api/orders", {"hold_id": hold_id}, {201, 410})
        self.counts["ordered" if response.status == 201 else "ordered too late"] += 1
        return response.document.get("order_id")

    async def _deliver(self, order_id: int, status: str) -> str:
        """Deliver a payment event as the provider's webhook, which sometimes arrives twice.

        Returns the order's status.
        """
        key = str(uuid.uuid4())
        body = json.dumps({"idempotency_key": key, "order_id": order_id, "status": status}).encode()
        response = await self._request("POST", "/api/payments/webhook", body, self._signed(key, body), {200})
        self.counts[f"{status} {response.document['outcome']}"] += 1
        if self._random.random() < REDELIVERED_SHARE:
            await self._request("POST", "/api/payments/webhook", body, self._signed(key, body), {200})
            self.counts["redelivered"] += 1
        return str(response.document["status"])

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        """Return the headers that sign a webhook; none without a secret."""
        if self._webhook is None:
            return {}
        now = datetime.now(UTC)
        return {
            "webhook-id": key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(key, now, body.decode()),
        }

    async def _post(self, path: str, document: dict[str, Any], expected: set[int]) -> Response:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return await self._request("POST", path, json.dumps(document).encode(), headers, expected)

    async def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str], expected: set[int]
    ) -> Response:
        """Send a request until its outcome is known; its idempotency key makes repeats safe. Raises RequestFailed."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                response = await self._client.request(method, path, body, headers)
            except (OSError, TimeoutError):
                self.counts["connection failed"] += 1
                await asyncio.sleep(attempt)
                continue
            self.responses.append(response)
            if response.status in expected:
                return response
            if response.status not in {429, 503}:
                raise RequestFailed(f"{method} {path} returned {response.status} {response.document}")
            self.counts["asked to retry"] += 1
            await asyncio.sleep(float(response.headers.get("retry-after", 1)))
        raise RequestFailed(f"{method} {path} was not answered in {MAX_ATTEMPTS} attempts")

    async def _pause(self) -> None:
        """Wait as long as a buyer needs before the next step."""
        await asyncio.sleep(self._deadline_s * self._random.uniform(*PAUSE_SHARE))
