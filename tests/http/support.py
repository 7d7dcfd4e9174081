"""What the HTTP tests share: the service as real processes, its clients, and the shape of an error."""

import asyncio
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any

import httpx

from stack.process import Server, children, free_port
from stack.servers import PROJECT
from tests.support import Session

CLIENTS = 64
POLL_INTERVAL_S = 0.02
PATIENCE_S = 20  # far beyond any promise: only a defect takes so long
COMMAND = [sys.executable, "-m", "gunicorn", "-c", str(PROJECT / "gunicorn.conf.py"), "service.app:create_app()"]
DEFECTS = ("Traceback", "unexpected_error", "batcher_failed")


class Service(Server):
    """gunicorn with the service, as people start it; what it prints is kept in a file."""

    def __init__(self, folder: Path, mysql_url: str, redis_url: str, **settings: str) -> None:
        """Choose a port; `settings` are further variables of the environment."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._output = folder / "log"
        environment = {
            **os.environ,
            "MYSQL_URL": mysql_url,
            "REDIS_URL": redis_url,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WEB_CONCURRENCY": "2",
            "PYTHONPATH": str(PROJECT),
            **settings,
        }
        self._workers = int(environment["WEB_CONCURRENCY"])
        # SIGTERM lets gunicorn end its workers, which a SIGKILL would leave behind.
        super().__init__(
            "The service", COMMAND, folder, log=self._output, environment=environment, death_signal=SIGTERM
        )

    def answers(self) -> bool:
        """Whether every worker serves, and the service is ready."""
        return self.text().count("ASGI server listening") >= self._workers and self.readiness() == 200

    def readiness(self) -> int:
        """The status of GET /readyz; 0 while nobody listens."""
        try:
            with self.client() as client:
                return client.get("/readyz").status_code
        except httpx.TransportError:
            return 0

    @property
    def process_id(self) -> int:
        """The process id of gunicorn's master."""
        assert self._child, "the service was not started"
        return self._child.pid

    def reload(self) -> None:
        """Have every worker replaced by a new one (SIGHUP), and return when none of the old ones is left."""
        old = self.workers()
        self._signal(SIGHUP)
        eventually(lambda: not self.workers() & old and len(self.workers()) == self._workers and self.answers())

    def kill_master(self) -> None:
        """Kill gunicorn's master alone (SIGKILL), and return when its workers have noticed and left."""
        assert self._child, "the service was not started"
        orphans = self.workers()
        self._signal(SIGKILL)
        self._child.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))

    def exit_code(self) -> int | None:
        """How the service ended; None while it runs."""
        return self._child.poll() if self._child else None

    def workers(self) -> set[int]:
        """The ids of the worker processes."""
        return children(self.process_id)

    def client(self) -> httpx.Client:
        """A client that keeps its connection."""
        return httpx.Client(base_url=self.url, **_CLIENT_OPTIONS)

    def at_once(self, requests: Sequence[dict[str, Any]], clients: int = CLIENTS) -> list[httpx.Response]:
        """Send requests over so many connections at once; returns their answers in order.

        A request is the arguments of httpx's `request`.
        """
        return asyncio.run(_at_once(self.url, requests, clients))

    def events(self, name: str, **members: Any) -> list[dict[str, Any]]:
        """The lines of the log with this event and these members."""
        complete = self.text().rpartition("\n")[0]
        lines = [json.loads(line) for line in complete.splitlines() if line.startswith("{")]
        wanted = {"event": name, **members}
        return [line for line in lines if wanted.items() <= line.items()]

    def text(self) -> str:
        """All that the service has printed."""
        return self._output.read_text()

    def begin_stop(self) -> None:
        """Ask the service to stop, and complain about whatever it should not have printed until now."""
        if self.is_running():
            self._signal(SIGTERM)
        self.assert_without_defects()

    def finish(self) -> None:
        """Wait for the end that `begin_stop` asked for, and complain unless it was an orderly one.

        To ask again would kill a gunicorn that has just put its signal handlers away.
        """
        if self._child:
            self._child.wait(PATIENCE_S)
        assert self.exit_code() == 0, self.text()[-3000:]
        self.assert_without_defects()

    def assert_without_defects(self) -> None:
        """Check that nothing went wrong in the service itself."""
        defects = [line for line in self.text().splitlines() if any(sign in line for sign in DEFECTS)]
        assert defects == [], f"{self._output} tells of defects: {defects[:3]}"


_CLIENT_OPTIONS: dict[str, Any] = {"timeout": PATIENCE_S, "trust_env": False, "verify": False}


async def _at_once(url: str, requests: Sequence[dict[str, Any]], clients: int) -> list[httpx.Response]:
    """Every connection takes the next request as soon as it has its answer."""
    answers: list[Any] = [None] * len(requests)
    queue = iter(enumerate(requests))

    async def serve_queue() -> None:
        async with async_client(url) as client:
            for position, request in queue:
                answers[position] = await client.request(**request)

    await asyncio.gather(*(serve_queue() for _ in range(min(clients, len(requests)))))
    return answers


def async_client(url: str) -> httpx.AsyncClient:
    """A client for one connection at a time."""
    return httpx.AsyncClient(base_url=url, **_CLIENT_OPTIONS)


def hold_request(product_id: int, quantity: int = 1, key: str | None = None, **members: Any) -> dict[str, Any]:
    """POST /api/holds, with a key if one is given, and further members of the body."""
    return _post("/api/holds", {"product_id": product_id, "quantity": quantity, **members}, key)


def order_request(hold_id: int, key: str | None = None) -> dict[str, Any]:
    """POST /api/orders, with a key if one is given."""
    return _post("/api/orders", {"hold_id": hold_id}, key)


def payment_request(key: str, order_id: int, status: str = "success", **members: Any) -> dict[str, Any]:
    """POST /api/payments/webhook, with further members of the body."""
    event = {"idempotency_key": key, "order_id": order_id, "status": status, **members}
    return _post("/api/payments/webhook", event, None)


def _post(path: str, document: dict[str, Any], key: str | None) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    return {"method": "POST", "url": path, "json": document, "headers": headers}


class Shop:
    """A client that does what a shop's back end does, and expects it to work."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def hold(self, product_id: int, quantity: int = 1) -> int:
        """Hold units; returns the hold's id."""
        return int(self._accepted(hold_request(product_id, quantity), 201)["hold_id"])

    def order(self, hold_id: int) -> int:
        """Order a hold; returns the order's id."""
        return int(self._accepted(order_request(hold_id), 201)["order_id"])

    def ordered(self, product_id: int, quantity: int = 1) -> int:
        """Hold and order units; returns the order's id."""
        return self.order(self.hold(product_id, quantity))

    def pay(self, key: str, order_id: int, status: str = "success", **members: Any) -> dict[str, Any]:
        """Deliver a payment event for an order that exists; returns the answer."""
        return self._accepted(payment_request(key, order_id, status, **members), 200)

    def available(self, product_id: int) -> int:
        """The units that the service says are available."""
        response = self.client.get(f"/api/products/{product_id}")
        assert response.status_code == 200, response.text
        return int(response.json()["available_stock"])

    def _accepted(self, request: dict[str, Any], status: int) -> dict[str, Any]:
        response = self.client.request(**request)
        assert response.status_code == status, response.text
        document: dict[str, Any] = response.json()
        return document


def assert_problem(response: httpx.Response, status: int, slug: str, errno: int | None, **members: Any) -> None:
    """Check a whole error answer: exactly the promised members, and what every answer carries."""
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
    """Check what every answer carries."""
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-Id"]


async def eventually_async(condition: Callable[[], Any]) -> None:
    """Poll a condition, or the coroutine of one, until it is true."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            result = condition()
            if await result if inspect.isawaitable(result) else result:
                return
            await asyncio.sleep(POLL_INTERVAL_S)


def is_waited_for(session: Session, holder: Session) -> bool:
    """Whether a transaction waits for a lock that another session holds."""
    return bool(
        session.query(
            "SELECT 1 FROM performance_schema.data_lock_waits AS wait_"
            " JOIN performance_schema.threads AS holder ON holder.thread_id = wait_.blocking_thread_id"
            " WHERE holder.processlist_id = %s",
            holder.connection.connection_id,
        )
    )


def eventually(condition: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Poll a condition until it is true; returns what it returned."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(POLL_INTERVAL_S)
    return result
