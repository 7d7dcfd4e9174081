"""Steady load, and a ledger of all requests and responses, which is compared with MySQL after a fault."""

import asyncio
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import httpx
import mysql.connector

from tests.http.support import (
    Service,
    async_client,
    hold_request,
    order_request,
    payment_request,
    reduction_request,
    refund_request,
)
from tests.support import PATIENCE_S, POLL_INTERVAL_S, Row, Session, eventually, eventually_async

BUYERS = 16
READERS = 2  # of the feed of events
THINK_S = (0.02, 0.15)  # between two requests of a buyer
BASKETS = (1, 1, 1, 2, 3)  # how many holds a buyer orders at once; one of these at random
REDUCED = 0.3  # the share of the holds of several units that a buyer reduces
RESTOCKED = 0.9  # the share of the refunds whose units become available again
REFUNDED = 0.3  # the share of the paid orders that a buyer returns
PLENTY, SCARCE = 1_000_000, 60  # units of a product that never sells out, and of one that often does
LOG_CHARACTERS = 3000  # of the service's log, shown with a failure
REPLAYS = 60  # accepted requests that are repeated at the end
UNKNOWN_THREAD = 1094
INSUFFICIENT_STOCK, HOLD_EXPIRED = 30102, 30202
KEYED = ("hold", "order", "refund")  # kinds of requests that carry an Idempotency-Key
# The member that names what a request made or changed; a payment has no id.
RESULT = {
    "hold": "hold_id",
    "reduction": "hold_id",
    "order": "order_id",
    "payment": "order_id",
    "refund": "refund_id",
}


FeedEvent = tuple[int, str, int | None]


class Answer(NamedTuple):
    """A response; `status` is 0 if there was none."""

    at: float
    status: int
    document: dict[str, Any]
    replayed: bool

    @property
    def settles(self) -> bool:
        """Whether the client knows the outcome of its request."""
        return self.status not in (0, 503)

    @property
    def accepts(self) -> bool:
        """Whether the response says that the request took effect."""
        return self.status in (200, 201, 202)


@dataclass
class Entry:
    """One request, and all its responses in order; `key` tells it from all other requests of its kind."""

    kind: str
    key: str
    request: dict[str, Any]
    answers: list[Answer] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        """Whether its client knows the outcome."""
        return any(answer.settles for answer in self.answers)

    @property
    def told(self) -> dict[str, Any] | None:
        """The document of the first response that accepts the request."""
        return next((answer.document for answer in self.answers if answer.accepts), None)

    @property
    def refusals(self) -> set[int | None]:
        """The errnos of the responses that refuse the request."""
        return {answer.document.get("errno") for answer in self.answers if answer.settles and not answer.accepts}


class Ledger:
    """All requests and responses of a load, and what MySQL must have recorded of them.

    products  the products of this load; no other client trades them
    refusals  errnos that a buyer may get besides insufficient_stock, because of the fault

    Each reader of the feed of events is a list of what it has read: positions, types and orders.
    """

    def __init__(self, products: list[int], refusals: Iterable[int]) -> None:
        self.products = products
        self.entries: list[Entry] = []
        self.readers: list[list[FeedEvent]] = [[] for _ in range(READERS)]
        self._refusals = {INSUFFICIENT_STOCK, *refusals}
        self._breaches: list[str] = []
        self._read_statuses: list[int] = []

    def record(self, kind: str, key: str, request: dict[str, Any]) -> Entry:
        """Record a request before it is sent."""
        entry = Entry(kind, key, request)
        self.entries.append(entry)
        return entry

    async def ask(self, client: httpx.AsyncClient, entry: Entry) -> Answer:
        """Send the request of an entry and record the response, or that there was none."""
        try:
            response = await client.request(**entry.request)
        except httpx.TransportError:
            answer = Answer(time.monotonic(), 0, {}, replayed=False)
        else:
            replayed = "Idempotent-Replayed" in response.headers
            answer = Answer(time.monotonic(), response.status_code, response.json(), replayed)
            self._check_answer(entry, response)
        entry.answers.append(answer)
        return answer

    async def look(self, client: httpx.AsyncClient, product_id: int) -> None:
        """Read a product; only the status is recorded."""
        try:
            response = await client.get(f"/api/products/{product_id}")
        except httpx.TransportError:
            self._read_statuses.append(0)
        else:
            self._read_statuses.append(response.status_code)

    async def read_events(self, client: httpx.AsyncClient, reader: list[FeedEvent], wait_s: int) -> bool:
        """Read the events after the last one that a reader has read; returns whether there is no further one."""
        parameters = {"after": reader[-1][0] if reader else 0, "limit": 1000, "wait_s": wait_s}
        try:
            response = await client.get("/api/events", params=parameters)
        except httpx.TransportError:
            self._read_statuses.append(0)
            return False
        self._read_statuses.append(response.status_code)
        if response.status_code != 200:
            if response.status_code != 503:
                self._breaches.append(f"{response.status_code} for a reader of events: {response.text}")
            return False
        items = response.json()["items"]
        reader += [(item["position"], item["type"], item["order_id"]) for item in items]
        return not items

    async def settle(self, url: str) -> None:
        """Repeat requests until each has an outcome: all without one, and some that were accepted under a key.

        Then read the events that these have caused.
        """
        unsettled = [entry for entry in self.entries if not entry.is_settled]
        accepted = [entry for entry in self.entries if entry.told and entry.kind != "reduction"]
        entries = unsettled + random.sample(accepted, min(REPLAYS, len(accepted)))
        queue = iter(entries)

        async def serve_queue() -> None:
            async with async_client(url) as client:
                for entry in queue:
                    await self._settle(client, entry)

        await asyncio.gather(*(serve_queue() for _ in range(BUYERS)))
        async with async_client(url) as client:
            for reader in self.readers:
                await eventually_async(partial(self.read_events, client, reader, wait_s=0))

    async def _settle(self, client: httpx.AsyncClient, entry: Entry) -> None:
        async def has_outcome() -> bool:
            return (await self.ask(client, entry)).settles

        await eventually_async(has_outcome)

    def statuses(self) -> Counter[int]:
        """The number of responses per status; 0 counts requests without a response."""
        told = [answer.status for entry in self.entries for answer in entry.answers]
        return Counter(self._read_statuses + told)

    def untold(self, session: Session) -> list[Entry]:
        """The requests that took effect although their first response did not say so."""
        state = _State(session, self.products)
        recorded = [entry for entry in self.entries if state.result(entry) is not None]
        return [entry for entry in recorded if not (entry.answers and entry.answers[0].accepts)]

    def breaches(self, session: Session, *, settled: bool) -> list[str]:
        """The contradictions between MySQL and the responses, and between responses to one request.

        session  in a transaction, so that it reads one snapshot
        settled  whether every request was repeated until its outcome was known
        """
        state = _State(session, self.products)
        found = [*self._breaches, *state.breaches(settled=settled)]
        for entry in self.entries:
            found += [f"{problem}: {entry}" for problem in self._entry_breaches(entry, state, settled=settled)]
        found += self._reader_breaches(state, settled=settled)
        recorded = {(entry.kind, entry.key) for entry in self.entries}
        found += [f"{stranger} was never asked for" for stranger in state.own_results.keys() - recorded]
        return found

    def _reader_breaches(self, state: "_State", *, settled: bool) -> Iterator[str]:
        """Describe events that a reader missed, read twice, or read in another order than that of the positions."""
        ordered = {entry.told["order_id"] for entry in self.entries if entry.kind == "order" and entry.told}
        for reader in self.readers:
            for read, told in zip(reader, state.feed, strict=False):
                if read != told:
                    yield f"a reader has read {read} instead of {told}"
                    break
            missed = ordered - {order_id for _, type_, order_id in reader if type_ == "order.created"}
            if settled and missed:
                yield f"a reader has missed the orders {missed}"

    def _check_answer(self, entry: Entry, response: httpx.Response) -> None:
        """Check the headers that every response of its kind has."""
        if response.status_code == 503 and "Retry-After" not in response.headers:
            self._breaches.append(f"503 without Retry-After: {entry}")
        if entry.kind in KEYED and response.headers.get("Idempotency-Key") != entry.key:
            self._breaches.append(f"{response.status_code} without its Idempotency-Key: {entry}")

    def _entry_breaches(self, entry: Entry, state: "_State", *, settled: bool) -> Iterator[str]:
        result = state.result(entry)
        if entry.refusals - self._refusals:
            yield "refused without a reason"
        if entry.told is None:
            # A repeated reduction is refused once its hold has expired, even if it took effect the first time.
            if entry.refusals and result is not None and (entry.kind != "reduction" or entry.answers[0].settles):
                yield f"refused, and yet MySQL has {result}"
            if settled and not entry.is_settled:
                yield "never settled"
            return
        if entry.refusals:
            yield "accepted, and refused as well"
        if result is None:
            yield "LOST: accepted, and MySQL does not know it"
        elif result != entry.told[RESULT[entry.kind]]:
            yield f"MySQL has {result}"
        yield from _contradictions(entry, state)


def _contradictions(entry: Entry, state: "_State") -> Iterator[str]:
    """The contradictions between the responses to one accepted request, or between them and MySQL."""
    accepted = [answer for answer in entry.answers if answer.accepts]
    if not all(answer.replayed for answer in accepted[1:]):
        yield "accepted more than once"
    told = [answer.document for answer in accepted]
    if entry.kind == "payment":
        event = state.events.get(entry.key)
        if event and told[-1]["outcome"] not in ("waiting", event["outcome"]):
            yield f"MySQL says {event['outcome']}"
    elif any(document != told[0] for document in told):
        yield "told two things"
    if entry.kind == "order":
        lines = state.lines.get(told[0]["order_id"], [])
        asked = entry.request["json"]
        if {line["hold_id"] for line in lines} != set(asked.get("hold_ids") or [asked["hold_id"]]):
            yield f"of other holds: {lines}"


class _State:
    """The rows of some products; consistent if read in a transaction."""

    def __init__(self, session: Session, products: list[int]) -> None:
        places = ", ".join(["%s"] * len(products))
        self.stock = session.query(f"SELECT * FROM stock WHERE product_id IN ({places})", *products)
        self.holds = _by_id(session.query(f"SELECT * FROM holds WHERE product_id IN ({places})", *products))
        lines = session.query(
            f"SELECT * FROM order_lines WHERE product_id IN ({places}) ORDER BY order_id, hold_id", *products
        )
        self.lines = {order_id: list(rows) for order_id, rows in groupby(lines, key=itemgetter("order_id"))}
        of_products = f"SELECT order_id FROM order_lines WHERE product_id IN ({places})"
        self.orders = _by_id(session.query(f"SELECT * FROM orders WHERE id IN ({of_products})", *products))
        refunds = _by_id(session.query(f"SELECT * FROM refunds WHERE order_id IN ({of_products})", *products))
        self._refunded = {
            row["hold_id"]: row["units"]
            for row in session.query("SELECT hold_id, SUM(quantity) AS units FROM refund_lines GROUP BY hold_id")
        }
        keys = session.query(
            "SELECT operation, CONVERT(idempotency_key USING utf8mb4) AS k, result_id FROM idempotency_keys"
        )
        events = session.query(
            "SELECT CONVERT(idempotency_key USING utf8mb4) AS k, order_id, status, outcome FROM payment_events"
        )
        self.differences = session.call("check_stock")
        self.unexplained = session.unexplained_transitions()
        feed = session.query("SELECT position, type, order_id FROM events WHERE position > 0 ORDER BY position")
        self.feed: list[FeedEvent] = [(row["position"], row["type"], row["order_id"]) for row in feed]
        self.events = {row["k"]: row for row in events}
        self.results = {(row["operation"], row["k"]): row["result_id"] for row in keys}
        self.results |= {("payment", row["k"]): row["order_id"] for row in events}
        # Other tests share the database, and their payments may have waited for an order of this load.
        self._made = {"hold": self.holds, "order": self.orders, "refund": refunds}
        own = [row for row in keys if row["result_id"] in self._made.get(row["operation"], ())]
        self.own_results = {(row["operation"], row["k"]): row["result_id"] for row in own}

    def result(self, entry: Entry) -> int | None:
        """The id of what a request made or changed, if MySQL has recorded it."""
        if entry.kind != "reduction":
            return self.results.get((entry.kind, entry.key))
        hold = self.holds.get(int(entry.request["url"].rpartition("/")[2]))
        return hold["id"] if hold and hold["quantity"] == entry.request["json"]["quantity"] else None

    def breaches(self, *, settled: bool) -> Iterator[str]:
        """The contradictions within MySQL."""
        if self.differences:
            yield f"check_stock() says {self.differences}"
        if self.unexplained:
            yield f"events do not tell of {self.unexplained}"
        if [position for position, *_ in self.feed] != list(range(1, len(self.feed) + 1)):
            yield "the positions of events have gaps"
        for kind, made in self._made.items():
            ids = Counter(result for (of, _), result in self.own_results.items() if of == kind)
            yield from (f"{kind} {made[one]} has no key" for one in made.keys() - ids.keys())
            yield from (f"{kind} {one} has {number} keys" for one, number in ids.items() if number > 1)
        for row in self.stock:
            taken = self._taken(row["product_id"])
            if row["available"] + taken != row["total"]:
                yield f"{taken} units are taken of {row}"
        yield from self._order_breaches()
        yield from self._payment_breaches(settled=settled)

    def _taken(self, product_id: int) -> int:
        """The held, ordered and paid units of a product."""
        held = [row for row in self.holds.values() if row["status"] == "active"]
        bought = [
            line
            for lines in self.lines.values()
            for line in lines
            if self.orders[line["order_id"]]["status"] != "cancelled"
        ]
        return sum(
            row["quantity"] - row.get("refunded_quantity", 0)
            for row in held + bought
            if row["product_id"] == product_id
        )

    def _order_breaches(self) -> Iterator[str]:
        ordered = {line["hold_id"]: line["quantity"] for lines in self.lines.values() for line in lines}
        used = {number: hold["quantity"] for number, hold in self.holds.items() if hold["status"] == "ordered"}
        if used != ordered:
            yield f"ordered holds and order lines differ in {set(used.items()) ^ set(ordered.items())}"
        for number, order in self.orders.items():
            amount = sum(line["quantity"] * line["unit_price"] for line in self.lines[number])
            if order["amount"] != amount:
                yield f"the lines of {order} cost {amount}"
            if any(line["refunded_quantity"] != self._refunded.get(line["hold_id"], 0) for line in self.lines[number]):
                yield f"other units than those of its lines were refunded: {order}"
            is_returned = all(line["refunded_quantity"] == line["quantity"] for line in self.lines[number])
            if is_returned != (order["status"] == "refunded"):
                yield f"all units are refunded: {is_returned}, and yet {order}"

    def _payment_breaches(self, *, settled: bool) -> Iterator[str]:
        applied = Counter(
            (event["order_id"], event["status"]) for event in self.events.values() if event["outcome"] == "applied"
        )
        for number, order in self.orders.items():
            if applied[number, "success"] != (order["status"] in ("paid", "refunded")):
                yield f"{applied[number, 'success']} payments were applied to {order}"
            if applied[number, "failure"] > (order["status"] == "cancelled"):
                yield f"{applied[number, 'failure']} failures were applied to {order}"
        if settled:
            for key, event in self.events.items():
                if event["outcome"] == "waiting" and event["order_id"] in self.orders:
                    yield f"STUCK: {key} waits for an order that is there: {event}"


def _by_id(rows: list[Row]) -> dict[int, Row]:
    return {row["id"]: row for row in rows}


class Load:
    """Simulated buyers in a thread, who hold, reduce holds, order, pay and return until they are stopped.

    Every second buyer repeats a request without an outcome at once, under the same key. The others give up, and their
    requests are settled at the end. One more client delivers payments of orders that do not exist yet, and another one
    sends one hold under one key all the time. Two clients read the feed of events.
    """

    def __init__(self, service: Service, ledger: Ledger) -> None:
        self.ledger = ledger
        self.service = service
        self._is_over = threading.Event()
        self._served_at = [0.0] * BUYERS
        self._asked: list[Entry | None] = [None] * BUYERS
        self._newest_order_id = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="buyers")

    def start(self) -> None:
        """Start the load, and return when every buyer has had an outcome."""
        self._thread.start()
        self.wait_until_served()

    def stop(self) -> None:
        """Stop the load; raises the exception that ended it, if any."""
        self._is_over.set()
        self._thread.join()
        if self._error:
            raise self._error

    def wait_until_served(self, times: int = 1, within_s: float = PATIENCE_S) -> None:
        """Return when every buyer has had so many outcomes, one after the other, from now on."""
        for _ in range(times):
            since = time.monotonic()
            while waiting := self._unserved(since):
                if not self._thread.is_alive():
                    self.stop()
                assert time.monotonic() < since + within_s, f"nothing in {within_s} s for {len(waiting)}: {waiting[:3]}"
                time.sleep(POLL_INTERVAL_S)

    def _unserved(self, since: float) -> list[Entry | None]:
        """The last requests of the buyers who have had no outcome since then."""
        return [self._asked[number] for number in range(BUYERS) if self._served_at[number] <= since]

    def assert_back_in_service(self) -> None:
        """Return when a hold or an order is accepted and every buyer has had an outcome, from now on."""
        since = time.monotonic()
        self.wait_until_served()

        def accepts() -> bool:
            answers = [answer for entry in self.ledger.entries for answer in entry.answers]
            return any(answer.status == 201 and answer.at > since for answer in answers)

        eventually(accepts)

    def _run(self) -> None:
        try:
            asyncio.run(self._crowd())
        except BaseException as error:  # noqa: BLE001 raised by stop, in the test's own thread
            self._error = error

    async def _crowd(self) -> None:
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(self._read_events(reader)) for reader in self.ledger.readers]
            async with asyncio.TaskGroup() as senders:
                for number in range(BUYERS):
                    senders.create_task(self._buy_on(number))
                senders.create_task(self._pay_ahead())
                senders.create_task(self._repeat_a_hold())
            for reader in readers:
                reader.cancel()  # it may wait for an event

    async def _buy_on(self, number: int) -> None:
        async with async_client(self.service.url) as client:
            while not self._is_over.is_set():
                await self._buy(number, client)

    async def _buy(self, number: int, client: httpx.AsyncClient) -> None:
        """Hold units of one to three products, order those holds and pay, until a step is not accepted."""
        products = random.choices(self.ledger.products, k=random.choice(BASKETS))
        held = [await self._hold(number, client, product_id) for product_id in products]
        hold_ids = [hold_id for hold_id in held if hold_id is not None]
        if not hold_ids:
            return
        key, holds = str(uuid.uuid4()), hold_ids if len(hold_ids) > 1 else hold_ids[0]
        order = await self._ask(number, client, "order", key, order_request(holds, key))
        if order is None:
            return
        self._newest_order_id = max(self._newest_order_id, order["order_id"])
        # Failed payments return the units of the scarce product.
        status = "failure" if self.ledger.products[1] in products else "success"
        payment = await self._ask(number, client, "payment", key, payment_request(key, order["order_id"], status))
        if payment and payment["status"] == "paid" and random.random() < REFUNDED:
            await self._return(number, client, order["order_id"], hold_ids[0])

    async def _return(self, number: int, client: httpx.AsyncClient, order_id: int, hold_id: int) -> None:
        """Have a unit refunded, then the rest."""
        for lines in ({hold_id: 1}, None):
            key = str(uuid.uuid4())
            request = refund_request(order_id, lines, restock=random.random() < RESTOCKED, key=key)
            refund = await self._ask(number, client, "refund", key, request)
            if refund is None or refund["status"] == "refunded":
                return

    async def _hold(self, number: int, client: httpx.AsyncClient, product_id: int) -> int | None:
        """Read a product, hold units of it, and give some of them up now and then; returns the hold's id."""
        await self.ledger.look(client, product_id)
        key, quantity = str(uuid.uuid4()), random.randint(1, 3)
        hold = await self._ask(number, client, "hold", key, hold_request(product_id, quantity, key))
        if hold is None:
            return None
        hold_id: int = hold["hold_id"]
        if quantity > 1 and random.random() < REDUCED:
            reduced = await self._ask(number, client, "reduction", key, reduction_request(hold_id, quantity - 1))
            return hold_id if reduced else None
        return hold_id

    async def _ask(
        self, number: int, client: httpx.AsyncClient, kind: str, key: str, request: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Send a request once, or as a patient buyer until there is an outcome; returns the accepted document."""
        entry = self._asked[number] = self.ledger.record(kind, key, request)
        while True:
            answer = await self.ledger.ask(client, entry)
            await asyncio.sleep(random.uniform(*THINK_S))
            if answer.settles:
                self._served_at[number] = answer.at
                return answer.document if answer.accepts else None
            if number % 2 or self._is_over.is_set():
                return None

    async def _repeat_a_hold(self) -> None:
        """Send one hold under one key from beginning to end; the ledger knows whether it was made once."""
        key = str(uuid.uuid4())
        entry = self.ledger.record("hold", key, hold_request(self.ledger.products[0], 1, key))
        async with async_client(self.service.url) as client:
            while not self._is_over.is_set():
                await self.ledger.ask(client, entry)
                await asyncio.sleep(THINK_S[1])

    async def _read_events(self, reader: list[FeedEvent]) -> None:
        """Read the feed of events from its beginning, without end."""
        async with async_client(self.service.url) as client:
            while True:
                await self.ledger.read_events(client, reader, wait_s=1)
                await asyncio.sleep(THINK_S[1])

    async def _pay_ahead(self) -> None:
        """Deliver payments of orders that will be created next."""
        async with async_client(self.service.url) as client:
            while not self._is_over.is_set():
                key, order_id = str(uuid.uuid4()), self._newest_order_id + random.randint(1, 5)
                entry = self.ledger.record("payment", key, payment_request(key, order_id))
                await self.ledger.ask(client, entry)
                await asyncio.sleep(THINK_S[1])


@contextmanager
def steady_load(service: Service, database_url: str, *, refusals: Iterable[int] = ()) -> Iterator[Load]:
    """Run load while the block causes a fault; then check that nothing is lost, sold twice or stuck.

    `refusals` are errnos that buyers may get because of the fault.
    """
    with closing(Session(database_url)) as session:
        products = [session.create_product(PLENTY), session.create_product(SCARCE)]
    load = Load(service, Ledger(products, refusals))
    try:
        load.start()
        yield load
    except AssertionError as failure:
        failure.add_note(f"The service's log ends:\n{service.text()[-LOG_CHARACTERS:]}")
        raise
    finally:
        load.stop()
    with snapshot(database_url) as session:
        assert_no_breach(load.ledger.breaches(session, settled=False))
    asyncio.run(load.ledger.settle(service.url))
    with snapshot(database_url) as session:
        assert_no_breach(load.ledger.breaches(session, settled=True))


@contextmanager
def snapshot(database_url: str) -> Iterator[Session]:
    """A session whose transaction reads one snapshot."""
    with closing(Session(database_url)) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield session


def assert_no_breach(breaches: list[str]) -> None:
    """Check that there is no contradiction."""
    assert breaches == [], f"{len(breaches)} breaches:\n" + "\n".join(breaches[:5])


def assert_nobody_noticed(load: Load) -> None:
    """Check that every request succeeded or was refused with 409."""
    answers = [answer for entry in load.ledger.entries for answer in entry.answers]
    failed = [answer.document for answer in answers if answer.status not in (200, 201, 202, 409)]
    log = [line for event in ("database_unavailable", "call_retry") for line in load.service.events(event)[-20:]]
    assert failed == [], log


def kill_connections(session: Session, account: str = "checkout_app") -> None:
    """Kill every connection of an account, the service's by default, to this database, busy or not."""
    for row in session.query(
        "SELECT processlist_id AS id FROM performance_schema.threads"
        " WHERE processlist_db = DATABASE() AND processlist_user = %s",
        account,
    ):
        try:
            session.execute(f"KILL {row['id']}")
        except mysql.connector.Error as error:
            if error.errno != UNKNOWN_THREAD:  # it has ended meanwhile
                raise
