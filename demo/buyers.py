"""The buyers of a flash sale: each comes, tries to get a unit, and then does what buyers do.

The seed fixes who comes when, and who does what with a unit; who gets one is decided by the race.
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

from demo.client import Answer, Client

# What a buyer does who got a unit, and how many of a hundred do so. Whoever waited for a unit pays.
MANNERS = {"pay": 72, "leave": 12, "give back": 5, "fail": 4, "pay twice": 4, "pay late": 3}
PATIENT_SHARE = 0.2  # of the buyers who were refused: they ask again until the last unit is sold
ARRIVAL_SHAPE, ARRIVAL_SCALE_S = 2, 0.9  # of a gamma distribution: most come within three seconds
THINKING_SHARE = (0.05, 0.4)  # of the deadline, before each step
ASKING_AGAIN_S = (1.0, 3.0)
REDELIVERED_SHARE = 0.25  # of the webhooks
LATE_BY_S = 3.0  # after the deadline, when the sweep has been there
TRIES = 8


class Unanswered(Exception):
    """The service went on answering that it is unavailable, or not at all."""


class Crowd:
    """So many buyers of one product, and all that they were told."""

    def __init__(
        self, client: Client, product_id: int, buyers: int, *, deadline_s: float, secret: str | None, seed: int
    ) -> None:
        """`deadline_s` is how long a hold lives and an order may wait; `secret` signs webhooks, where there is one."""
        self.answers: list[Answer] = []
        self.counts: Counter[str] = Counter()
        self.has_gone = False
        self.is_sold_out = False  # the last unit has been paid: nobody waits any longer
        self._client = client
        self._product_id = product_id
        self._buyers = buyers
        self._deadline_s = deadline_s
        self._webhook = Webhook(secret) if secret else None
        self._random = random.Random(seed)  # noqa: S311 a crowd is no secret
        self._manners: Mapping[str, Callable[[int], Any]] = {
            "pay": self._pay,
            "leave": self._leave,
            "give back": self._give_back,
            "fail": self._fail,
            "pay twice": self._pay_twice,
            "pay late": self._pay_late,
        }

    async def run(self) -> None:
        """Let everybody come and go; raises Unanswered, or what the client raises."""
        async with asyncio.TaskGroup() as buyers:
            for _ in range(self._buyers):
                buyers.create_task(self._live(self._random.gammavariate(ARRIVAL_SHAPE, ARRIVAL_SCALE_S)))
        self.has_gone = True

    async def _live(self, arrival_s: float) -> None:
        await asyncio.sleep(arrival_s)
        self.counts["came"] += 1
        (manner,) = self._random.choices(list(MANNERS), list(MANNERS.values()))
        hold_id = await self._hold()
        if hold_id is None and self._random.random() < PATIENT_SHARE:
            manner, hold_id = "pay", await self._hold_when_stock_comes_back()
        if hold_id is None:
            self.counts["went without"] += 1
            return
        self.counts[manner] += 1
        await self._think()
        await self._manners[manner](hold_id)

    async def _hold(self) -> int | None:
        """A hold's id; None: nothing is available."""
        answer = await self._post("/api/holds", {"product_id": self._product_id, "quantity": 1}, {201, 409})
        self.counts["held" if answer.status == 201 else "refused"] += 1
        return answer.document.get("hold_id")

    async def _hold_when_stock_comes_back(self) -> int | None:
        while not self.is_sold_out:
            await asyncio.sleep(self._random.uniform(*ASKING_AGAIN_S))
            if hold_id := await self._hold():
                return hold_id
        return None

    async def _pay(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await self._think()
            await self._deliver(order_id, "success")

    async def _leave(self, _hold_id: int) -> None:
        """The hold expires by itself."""

    async def _give_back(self, hold_id: int) -> None:
        await self._request("DELETE", f"/api/holds/{hold_id}", b"", {}, {204, 410})

    async def _fail(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await self._think()
            await self._deliver(order_id, "failure")

    async def _pay_twice(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await asyncio.gather(self._deliver(order_id, "success"), self._deliver(order_id, "success"))

    async def _pay_late(self, hold_id: int) -> None:
        order_id = await self._order(hold_id)
        if order_id is not None:
            await asyncio.sleep(self._deadline_s + LATE_BY_S)
            await self._deliver(order_id, "success")

    async def _order(self, hold_id: int) -> int | None:
        """An order's id; None: the hold had expired."""
        answer = await self._post("/api/orders", {"hold_id": hold_id}, {201, 410})
        self.counts["ordered" if answer.status == 201 else "came back too late"] += 1
        return answer.document.get("order_id")

    async def _deliver(self, order_id: int, status: str) -> None:
        """The provider's webhook; now and then it comes twice, as providers do."""
        key = str(uuid.uuid4())
        body = json.dumps({"idempotency_key": key, "order_id": order_id, "status": status}).encode()
        answer = await self._request("POST", "/api/payments/webhook", body, self._signed(key, body), {200})
        self.counts[f"{status} {answer.document['outcome']}"] += 1
        if self._random.random() < REDELIVERED_SHARE:
            await self._request("POST", "/api/payments/webhook", body, self._signed(key, body), {200})
            self.counts["delivered again"] += 1

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        if self._webhook is None:
            return {}
        now = datetime.now(UTC)
        return {
            "webhook-id": key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(key, now, body.decode()),
        }

    async def _post(self, path: str, document: dict[str, Any], expected: set[int]) -> Answer:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return await self._request("POST", path, json.dumps(document).encode(), headers, expected)

    async def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str], expected: set[int]
    ) -> Answer:
        """Ask until the outcome is known: the same key settles it, however often."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._client.request(method, path, body, headers)
            except (OSError, TimeoutError):
                self.counts["lost connections"] += 1
                await asyncio.sleep(attempt)
                continue
            self.answers.append(answer)
            if answer.status in expected:
                return answer
            if answer.status not in {429, 503}:
                raise Unanswered(f"{method} {path} gave {answer.status} {answer.document}")
            self.counts["asked to come back"] += 1
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
        raise Unanswered(f"{method} {path} was not answered in {TRIES} tries")

    async def _think(self) -> None:
        await asyncio.sleep(self._deadline_s * self._random.uniform(*THINKING_SHARE))
