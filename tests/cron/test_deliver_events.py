"""deliver_events sends to real receivers: the one of docs/event-delivery.md, and some that fail in every way."""

import asyncio
import gc
import json
import math
import re
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import mysql.connector
import pytest

from cron import job
from cron.deliver_events import deliver
from service.database import Connection
from service.deploy import ROOT
from service.mysql_url import MysqlUrl
from service.primary import Primary
from stack.process import free_port
from tests.deliveries import state_of
from tests.faults.ledger import kill_connections
from tests.support import PATIENCE_S, Row, Session, eventually, eventually_async

COMMAND = [sys.executable, "-m", "cron.deliver_events", "--once"]
STATUSES = {"/accept": 204, "/refuse": 500, "/gone": 410, "/redirect": 302, "/long": 200, "/hang": 204}


class Receivers(ThreadingHTTPServer):
    """A server of receivers; each path answers in its own way, and notes what it gets."""

    daemon_threads = True
    request_queue_size = 1024  # the default, 5, makes the kernel drop some of 50 connections that arrive at once

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: dict[str, list[Row]] = defaultdict(list)
        self.is_over = threading.Event()

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    """Notes the event of a POST and answers by the path; the path /hang answers when the test is over."""

    protocol_version = "HTTP/1.1"
    server: Receivers

    def do_POST(self) -> None:
        """Answer a delivery."""
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/hang":
            self.server.is_over.wait()
        self.server.received[self.path].append(event)
        body = b"x" * 10**7 if self.path == "/long" else b""
        self.send_response(STATUSES[self.path])
        self.send_header("content-length", str(len(body)))
        self.send_header("location", self.server.url("/accept"))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # nobody reads a long answer to its end

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Receivers that run while the test does."""
    with Receivers() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.is_over.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_receivers(session: Session) -> None:
    for receiver in session.query("SELECT receiver_id FROM event_deliveries"):
        session.call("remove_event_receiver", receiver["receiver_id"])


def run(environment: dict[str, str]) -> list[Row]:
    """Run the program once; returns what it logged."""
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "whsec_" not in done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def create_receiver(session: Session, url: str) -> int:
    """Make a receiver of all types; returns its id."""
    receiver_id: int = session.call("create_event_receiver", url, None)[0]["receiver_id"]
    return receiver_id


def create_paid_orders(session: Session, number: int) -> None:
    """Hold one unit for each of so many orders, order and pay them, each with one CALL for all."""
    product_id = session.create_product(stock=number)
    holds = session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * number)
    orders = session.batch("create_orders", [{"hold_id": hold["hold_id"]} for hold in holds])
    payments = [
        {"idempotency_key": f"payment of {order['order_id']}", "order_id": order["order_id"], "status": "success"}
        for order in orders
    ]
    assert {paid["outcome"] for paid in session.batch("apply_payments", payments)} == {"applied"}


def test_the_receiver_of_the_documentation_acts_on_each_event_once(
    session: Session, environment: dict[str, str], tmp_path: Path
) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "event-delivery.md").read_text(), re.M | re.S)
    (tmp_path / "receiver.py").write_text(program)
    port = free_port()
    (receiver,) = session.call("create_event_receiver", f"http://127.0.0.1:{port}/events", None)
    start = receiver["position"]
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "receiver:app"]
    with subprocess.Popen(command, cwd=tmp_path, env={**environment, "EVENT_SECRETS": receiver["secret"]}) as server:
        try:
            order_id = session.create_paid_order(session.create_product(stock=1))
            eventually(lambda: is_listening(port))
            delivered = {"event": "events_delivered", "receiver_id": receiver["receiver_id"]}
            assert run(environment)[0].items() >= {**delivered, "accepted": 2, "failed": 0}.items()

            session.call("rotate_event_secret", receiver["receiver_id"])
            session.execute("UPDATE event_receivers SET position = %s WHERE id = %s", start, receiver["receiver_id"])
            assert run(environment)[0].items() >= {**delivered, "accepted": 2, "failed": 0}.items()
            unsigned = httpx.post(f"http://127.0.0.1:{port}/events", json={"position": 9}, timeout=PATIENCE_S)
            assert unsigned.status_code == 401
        finally:
            server.terminate()
    with closing(sqlite3.connect(tmp_path / "events.sqlite3")) as stored:
        events = [json.loads(event) for (event,) in stored.execute("SELECT event FROM events ORDER BY position")]
        assert stored.execute("SELECT * FROM parcels").fetchall() == [(order_id,)]
    assert [(event["position"] - start, event["type"]) for event in events] == [(1, "order.created"), (2, "order.paid")]


def is_listening(port: int) -> bool:
    """Whether a server answers on a port."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S)
    except httpx.ConnectError:
        return False
    return True


def test_receivers_that_fail_in_any_way_hold_up_no_other(
    session: Session, environment: dict[str, str], receivers: Receivers
) -> None:
    urls = {path: receivers.url(path) for path in STATUSES} | {"down": f"http://127.0.0.1:{free_port()}/"}
    ids = {name: create_receiver(session, url) for name, url in urls.items()}
    create_paid_orders(session, 20)
    with subprocess.Popen(COMMAND, env=environment) as program:
        try:
            done = ids.keys() - {"/hang"}
            eventually(lambda: all(state_of(session, ids[name])["events_behind"] == 0 for name in done))
            states = {name: state_of(session, ids[name]) for name in ids}
        finally:
            program.kill()
    assert [len(receivers.received[path]) for path in ("/accept", "/long", "/hang")] == [40, 40, 0]
    assert {name: (states[name]["state"], states[name]["events_retried"]) for name in done} == {
        "/accept": ("active", 0),
        "/long": ("active", 0),
        "/refuse": ("failing", 40),
        "/redirect": ("failing", 40),
        "/gone": ("gone", 40),
        "down": ("failing", 40),
    }
    # On a busy machine, the time limit of its requests may have passed by now.
    assert states["/hang"]["events_behind"] + states["/hang"]["events_retried"] == 40
    failures = session.query("SELECT failure FROM undelivered_events WHERE receiver_id = %s", ids["down"])
    assert any("ClientConnectorError" in row["failure"] for row in failures if row["failure"])


def test_a_killed_program_loses_no_event_and_keeps_the_order_of_each_order(
    session: Session, environment: dict[str, str], receivers: Receivers
) -> None:
    receiver_id = create_receiver(session, receivers.url("/accept"))
    start = state_of(session, receiver_id)["position"]
    for _ in range(40):  # the two events of an order are near enough to be sent at the same time
        create_paid_orders(session, 10)
    received = receivers.received["/accept"]
    with subprocess.Popen(COMMAND, env=environment) as program:
        eventually(lambda: len(received) > 100)
        program.kill()
    assert len(received) < 800
    run(environment)
    assert {event["position"] for event in received} == set(range(start + 1, start + 801))
    by_order = defaultdict(list)
    for position, event in {event["position"]: event for event in received}.items():
        by_order[event["order_id"]].append(position)
    assert all(positions == sorted(positions) for positions in by_order.values())
    assert state_of(session, receiver_id)["lag_s"] == 0


async def deliver_until_mysql_fails(session: Session, url: str, received: list[Row]) -> None:
    """Deliver events, and lock the account of the program in the middle of it."""
    primary = Primary(MysqlUrl.parse(url))
    delivering = asyncio.create_task(deliver(Connection(primary), once=False))
    await eventually_async(lambda: len(received) > 100)
    session.execute("ALTER USER checkout_cron@'%' ACCOUNT LOCK")
    try:
        kill_connections(session, "checkout_cron")
        with pytest.raises(mysql.connector.Error):
            await delivering
    finally:
        session.execute("ALTER USER checkout_cron@'%' ACCOUNT UNLOCK")
        await primary.close()


async def test_an_error_of_mysql_leaves_no_delivery_behind(
    session: Session, environment: dict[str, str], receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_receiver(session, receivers.url("/accept"))
    create_paid_orders(session, 400)
    monkeypatch.setattr(job, "end_of_this_minute", lambda: math.inf)
    unheeded: list[dict[str, Any]] = []  # errors of tasks that nobody awaited
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheeded.append(context))
    await deliver_until_mysql_fails(session, environment["MYSQL_URL"], receivers.received["/accept"])
    await asyncio.sleep(0)  # in this turn, the event loop still refers to the tasks
    gc.collect()  # a task whose error nobody got reports it when it is collected
    assert (unheeded, asyncio.all_tasks()) == ([], {asyncio.current_task()})
