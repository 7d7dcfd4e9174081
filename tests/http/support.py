"""Helpers of tests that speak HTTP: the service as real processes, its clients, and checks of responses."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any

import httpx

from stack.gunicorn import GunicornServer
from stack.process import free_port
from stack.servers import PROJECT
from tests.support import PATIENCE_S, eventually

CLIENTS = 64
# What a worker logs once it listens; the second line is that of the release before.
STARTED = ("Application startup complete", "ASGI server listening")
DEFECTS = ("Traceback", "unexpected_error", "batcher_failed")


class Service(GunicornServer):
    """The service under gunicorn, whose output goes to a file."""

    def __init__(
        self, folder: Path, mysql_url: str, redis_url: str, *, release: Path = PROJECT, **settings: str
    ) -> None:
        """Choose a port; `release` has the code, `settings` are further variables of the environment."""
        port = free_port()
        self._output = folder / "log"
        environment = {
            **os.environ,
            "MYSQL_URL": mysql_url,
            "REDIS_URL": redis_url,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WEB_CONCURRENCY": "2",
            **settings,
        }
        self._workers = int(environment["WEB_CONCURRENCY"])
        super().__init__(
            "The service", folder, ("127.0.0.1", port), environment, log=self._output, working_directory=release
        )

    def answers(self) -> bool:
        """Whether every worker listens and the service is ready."""
        starts = sum(map(self.text().count, STARTED))
        return starts >= self._workers and super().answers()

    def reload(self) -> None:
        """Reload (SIGHUP), and return when new workers have replaced all old ones."""
        old = self.workers()
        self._signal(SIGHUP)
        eventually(lambda: not self.workers() & old and len(self.workers()) == self._workers and self.answers())

    def kill_master(self) -> None:
        """Kill only gunicorn's master (SIGKILL), and return when its workers have ended."""
        assert self._child, "the service was not started"
        orphans = self.workers()
        self._signal(SIGKILL)
        self._child.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))

    def client(self) -> httpx.Client:
        """An HTTP client that keeps its connection open."""
        return httpx.Client(base_url=self.url, **_CLIENT_OPTIONS)

    def at_once(self, requests: Sequence[dict[str, Any]], clients: int = CLIENTS) -> list[httpx.Response]:
        """Send requests concurrently over so many connections; returns the responses in the order of the requests.

        A request is a dictionary of arguments of httpx's `request`.
        """
        return asyncio.run(_at_once(self.url, requests, clients))

    def events(self, name: str, **members: Any) -> list[dict[str, Any]]:
        """The log lines with this event and these members."""
        complete = self.text().rpartition("\n")[0]
        lines = [json.loads(line) for line in complete.splitlines() if line.startswith("{")]
        wanted = {"event": name, **members}
        return [line for line in lines if wanted.items() <= line.items()]

    def text(self) -> str:
        """The whole output of the service."""
        return self._output.read_text()

    def begin_stop(self) -> None:
        """Ask the service to stop (SIGTERM), and check that its log shows no defect."""
        if self.is_running():
            self._signal(SIGTERM)
        self.assert_without_defects()

    def finish(self) -> None:
        """Wait until the service has ended after `begin_stop`, and check its exit code and log.

        A second SIGTERM would kill a gunicorn that has already removed its signal handlers.
        """
        if self._child:
            self._child.wait(PATIENCE_S)
        assert self.exit_code() == 0, self.text()[-3000:]
        self.assert_without_defects()

    def assert_without_defects(self) -> None:
        """Check that the log has no line of a defect in the service."""
        defects = [line for line in self.text().splitlines() if any(sign in line for sign in DEFECTS)]
        assert defects == [], f"{self._output} tells of defects: {defects[:3]}"


_CLIENT_OPTIONS: dict[str, Any] = {"timeout": PATIENCE_S, "trust_env": False, "verify": False}


async def _at_once(url: str, requests: Sequence[dict[str, Any]], clients: int) -> list[httpx.Response]:
    """Each connection sends the next request as soon as it has a response."""
    answers: list[Any] = [None] * len(requests)
    queue = iter(enumerate(requests))

    async def serve_queue() -> None:
        async with async_client(url) as client:
            for position, request in queue:
                answers[position] = await client.request(**request)

    await asyncio.gather(*(serve_queue() for _ in range(min(clients, len(requests)))))
    return answers


def async_client(url: str) -> httpx.AsyncClient:
    """An asynchronous HTTP client."""
    return httpx.AsyncClient(base_url=url, **_CLIENT_OPTIONS)


def hold_request(product_id: int, quantity: int = 1, key: str | None = None, **members: Any) -> dict[str, Any]:
    """A request POST /api/holds, with an Idempotency-Key and further members of the body if given."""
    return _post("/api/holds", {"product_id": product_id, "quantity": quantity, **members}, key)


def reduction_request(hold_id: int, quantity: int) -> dict[str, Any]:
    """A request PATCH /api/holds/{id}."""
    return {"method": "PATCH", "url": f"/api/holds/{hold_id}", "json": {"quantity": quantity}}


def order_request(holds: int | list[int], key: str | None = None) -> dict[str, Any]:
    """POST /api/orders of a hold or of a list of holds, with a key if one is given."""
    return _post("/api/orders", {"hold_ids" if isinstance(holds, list) else "hold_id": holds}, key)


def refund_request(
    order_id: int, lines: dict[int, int] | None = None, *, restock: bool = True, key: str | None = None
) -> dict[str, Any]:
    """POST /api/orders/{id}/refunds; `lines` has the quantity by hold, None: all that is left."""
    body: dict[str, Any] = {"restock": restock}
    if lines is not None:
        body["lines"] = [{"hold_id": hold_id, "quantity": quantity} for hold_id, quantity in lines.items()]
    return _post(f"/api/orders/{order_id}/refunds", body, key)


def payment_request(key: str, order_id: int, status: str = "success", **members: Any) -> dict[str, Any]:
    """A request POST /api/payments/webhook, with further members of the body."""
    event = {"idempotency_key": key, "order_id": order_id, "status": status, **members}
    return _post("/api/payments/webhook", event, None)


def _post(path: str, document: dict[str, Any], key: str | None) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    return {"method": "POST", "url": path, "json": document, "headers": headers}


class Shop:
    """A client with a shop's operations; each checks that it is accepted."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def hold(self, product_id: int, quantity: int = 1) -> int:
        """Hold units; returns the hold's id."""
        return int(self._accepted(hold_request(product_id, quantity), 201)["hold_id"])

    def order(self, holds: int | list[int]) -> int:
        """Order a hold or a list of holds; returns the order's id."""
        return int(self._accepted(order_request(holds), 201)["order_id"])

    def ordered(self, product_id: int, quantity: int = 1) -> int:
        """Hold and order units; returns the order's id."""
        return self.order(self.hold(product_id, quantity))

    def paid(self, product_id: int, quantity: int = 1) -> int:
        """Hold, order and pay units; returns the order's id."""
        order_id = self.ordered(product_id, quantity)
        assert self.pay(f"payment of {order_id}", order_id)["status"] == "paid"
        return order_id

    def pay(self, key: str, order_id: int, status: str = "success", **members: Any) -> dict[str, Any]:
        """Deliver a payment event for an order that exists; returns the document."""
        return self._accepted(payment_request(key, order_id, status, **members), 200)

    def available(self, product_id: int) -> int:
        """The available units of a product, as the service shows them."""
        response = self.client.get(f"/api/products/{product_id}")
        assert response.status_code == 200, response.text
        return int(response.json()["available_stock"])

    def _accepted(self, request: dict[str, Any], status: int) -> dict[str, Any]:
        response = self.client.request(**request)
        assert response.status_code == status, response.text
        document: dict[str, Any] = response.json()
        return document


def assert_problem(response: httpx.Response, status: int, slug: str, errno: int | None, **members: Any) -> None:
    """Check a problem document: status, exactly these members, and the common headers."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document = response.json()
    assert set(document) == {"type", "title", "status", "detail", "code", "errno", *members}
    expected = {"status": status, "code": slug, "errno": errno, **members}
    assert expected.items() <= document.items()
    assert document["type"].endswith(slug)
    assert document["title"]
    assert document["detail"]
    assert_common_headers(response)


def assert_common_headers(response: httpx.Response) -> None:
    """Check the headers that every response has."""
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-Id"]
