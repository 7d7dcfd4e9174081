"""Concurrent clients trade over HTTP; the history of each product's stock must be linearizable.

A request that changes several products, such as the cancellation of an order of several holds, is one act on each of
them, all in its interval. Each product has two histories. The decided one has all holds, refusals, the stock that
refusals name, and all acts that return units, at the time when MySQL executed them. The shown one has the same changes
and every GET; a change by a direct CALL may show one second later. All processes use this machine's clock.
"""

import asyncio
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import mysql.connector

from tests.http.history import Act, gave, saw, took, unexplained, was_refused
from tests.http.support import (
    Service,
    async_client,
    hold_request,
    order_request,
    payment_request,
    reduction_request,
    refund_request,
)
from tests.support import Session

CLIENTS = 32
ACTS = 60  # a client's
STOCK = (6, 12, 25)
SWEEP_INTERVAL_S = 0.2
CACHE_LAG_S = 1  # the most by which a change by direct CALL may show late
SEED = 1

Item = tuple[str, int]  # "hold" or "order", and its id
Units = list[tuple[int, int]]  # products and quantities
NOTHING: tuple[int, Units] = (10**9, [])  # the id of no hold and no order


@dataclass
class Sale:
    """State that the clients of one run share, and the acts that they recorded."""

    url: str
    stock: dict[int, int]
    decided: dict[int, list[Act]] = field(default_factory=lambda: defaultdict(list))
    shown: dict[int, list[Act]] = field(default_factory=lambda: defaultdict(list))
    given_back: set[Item] = field(default_factory=set)  # certainly by a client
    cancelled_from: dict[Item, float] = field(default_factory=dict)  # by a client or because of its deadline
    seen_at: dict[Item, float] = field(default_factory=dict)  # when it was first seen as expired or cancelled
    is_over: threading.Event = field(default_factory=threading.Event)

    def note(self, product_id: int, act: Act) -> None:
        """Record a change from its response."""
        self.decided[product_id].append(act)
        self.shown[product_id].append(act)

    def note_return(self, item: Item, units: Units, start: float, end: float) -> None:
        """Record that a client returned all units of a hold or an order."""
        self.given_back.add(item)
        for product_id, quantity in units:
            self.note(product_id, gave(quantity, start, end))

    def note_behind_the_back(self, product_id: int, act: Act) -> None:
        """Record a change by direct CALL, which the service shows when its cached value is stale."""
        self.decided[product_id].append(act)
        self.shown[product_id].append(act.until(act.end + CACHE_LAG_S))


class Client:
    """A client that sends one request after another for its own holds and orders."""

    def __init__(self, sale: Sale, http: httpx.AsyncClient, number: int) -> None:
        self.sale, self.http = sale, http
        self.chosen = random.Random(f"{SEED} {number}")
        self.holds: list[tuple[int, Units]] = []
        self.orders: list[tuple[int, Units]] = []
        self.paid: list[tuple[int, Units]] = []
        self.keys = map(f"{number}/{{}}".format, count())

    async def run(self) -> None:
        """Send random requests."""
        acts: dict[Callable[[], Any], int] = {self.look: 6, self.hold: 8, self.release: 1, self.order: 3}
        acts |= {self.reduce: 2, self.extend: 1, self.cancel: 1, self.pay: 2, self.refund: 1}
        for _ in range(ACTS):
            await self.chosen.choices(list(acts), list(acts.values()))[0]()

    async def ask(self, request: dict[str, Any]) -> tuple[httpx.Response, float, float]:
        """Send a request until it has an outcome; returns the response and the interval in which it took effect."""
        start = time.time()
        while (response := await self.http.request(**request)).status_code == 503:
            pass
        return response, start, time.time()

    def one_of(self, own: list[tuple[int, Units]]) -> tuple[int, Units]:
        """Remove and return one of the client's holds or orders; an unknown one if there is none."""
        return own.pop(self.chosen.randrange(len(own))) if own else NOTHING

    async def look(self) -> None:
        """GET a product."""
        product_id = self.chosen.choice(list(self.sale.stock))
        response, start, end = await self.ask({"method": "GET", "url": f"/api/products/{product_id}"})
        self.sale.shown[product_id].append(saw(response.json()["available_stock"], start, end))

    async def hold(self) -> None:
        """Hold units; a refusal shows the available stock."""
        product_id, quantity = self.chosen.choice(list(self.sale.stock)), self.chosen.randint(1, 3)
        response, start, end = await self.ask(hold_request(product_id, quantity, next(self.keys)))
        if response.status_code == 201:
            self.sale.note(product_id, took(quantity, start, end))
            self.holds.append((response.json()["hold_id"], [(product_id, quantity)]))
        else:
            assert response.status_code == 409, response.text
            self.sale.decided[product_id] += [
                was_refused(quantity, start, end),
                saw(response.json()["available_stock"], start, end),
            ]

    async def reduce(self) -> None:
        """Give up units of a hold, or none."""
        if self.holds:
            hold_id, ((product_id, quantity),) = self.one_of(self.holds)
            kept = self.chosen.randint(1, quantity)
            response, start, end = await self.ask(reduction_request(hold_id, kept))
            if response.status_code == 200:
                self.sale.note(product_id, gave(quantity - kept, start, end))
                self.holds.append((hold_id, [(product_id, kept)]))

    async def release(self) -> None:
        """Give a hold back."""
        hold_id, units = self.one_of(self.holds)
        response, start, end = await self.ask({"method": "DELETE", "url": f"/api/holds/{hold_id}"})
        if response.status_code == 204:
            self.sale.note_return(("hold", hold_id), units, start, end)

    async def extend(self) -> None:
        """Extend a hold."""
        if self.holds:
            await self.ask({"method": "POST", "url": f"/api/holds/{self.chosen.choice(self.holds)[0]}/extend"})

    async def order(self) -> None:
        """Order up to three holds; those that did not refuse remain the client's."""
        holds = dict(self.one_of(self.holds) for _ in range(max(1, min(3, len(self.holds)))))
        response, _, _ = await self.ask(order_request(list(holds), next(self.keys)))
        if response.status_code == 201:
            self.orders.append((response.json()["order_id"], [line for units in holds.values() for line in units]))
        else:
            del holds[response.json()["hold_id"]]
            self.holds += holds.items()

    async def cancel(self) -> None:
        """Cancel an order. If its deadline has passed meanwhile, a sweep may have cancelled it."""
        order_id, units = self.one_of(self.orders)
        document = (await self.http.get(f"/api/orders/{order_id}")).json()
        response, start, end = await self.ask({"method": "POST", "url": f"/api/orders/{order_id}/cancel"})
        if response.status_code == 200 and seconds(document["payment_due_at"]) <= end:
            self.sale.cancelled_from["order", order_id] = start
        elif response.status_code == 200:
            self.sale.note_return(("order", order_id), units, start, end)

    async def pay(self) -> None:
        """Deliver a payment."""
        order_id, units = self.one_of(self.orders)
        status = self.chosen.choices(("failure", "success"), (2, 1))[0]
        response, start, end = await self.ask(payment_request(next(self.keys), order_id, status))
        assert response.status_code in (200, 202), response.text
        if response.json()["outcome"] == "applied" and status == "failure":
            self.sale.note_return(("order", order_id), units, start, end)
        elif response.json()["outcome"] == "applied":
            self.paid.append((order_id, units))

    async def refund(self) -> None:
        """Return all units of a paid order."""
        order_id, units = self.one_of(self.paid)
        response, start, end = await self.ask(refund_request(order_id, key=next(self.keys)))
        if response.status_code == 201:
            self.sale.note_return(("order", order_id), units, start, end)


def seconds(timestamp: str) -> float:
    """A time of the API, in seconds since 1970."""
    return datetime.fromisoformat(timestamp).timestamp()


def administer(sale: Sale, session: Session, chosen: random.Random) -> None:
    """Sweep, adjust stock, and record expired holds and cancelled orders, until the clients have finished."""
    while not sale.is_over.wait(SWEEP_INTERVAL_S):
        session.call("expire_due", 1000)
        look_what_is_over(sale, session)
        product_id, quantity = chosen.choice(list(sale.stock)), chosen.choice((-2, 1, 1))
        start = time.time()
        try:
            session.call("adjust_stock", product_id, quantity, "counted", None)
        except mysql.connector.Error as error:
            if error.errno != 30102:
                raise
            sale.decided[product_id].append(was_refused(-quantity, start, time.time()))
        else:
            make = gave if quantity > 0 else took
            sale.note_behind_the_back(product_id, make(abs(quantity), start, time.time()))


def look_what_is_over(sale: Sale, session: Session) -> None:
    """Record when holds are first seen as expired and orders as cancelled."""
    rows = session.query(
        "SELECT 'hold' AS kind, id FROM holds WHERE status = 'expired' "
        "UNION ALL SELECT 'order', id FROM orders WHERE status = 'cancelled'"
    )
    for row in rows:
        sale.seen_at.setdefault((row["kind"], row["id"]), time.time())


def note_what_fell_due(sale: Sale, session: Session) -> None:
    """Record the return of what no client returned: between its deadline and when it was first seen."""
    rows = session.query(
        "SELECT 'hold' AS kind, id, product_id, quantity, expires_at AS due_at FROM holds WHERE status = 'expired' "
        "UNION ALL SELECT 'order', order_.id, line.product_id, line.quantity, order_.payment_due_at "
        "FROM orders AS order_ INNER JOIN order_lines AS line ON line.order_id = order_.id "
        "WHERE order_.status = 'cancelled'"
    )
    for row in rows:
        item = row["kind"], row["id"]
        if item not in sale.given_back:
            due_at = row["due_at"].replace(tzinfo=UTC).timestamp()
            start = min(due_at, sale.cancelled_from.get(item, due_at))
            act = gave(row["quantity"], start, sale.seen_at.get(item, time.time()))
            sale.note_behind_the_back(row["product_id"], act)


async def sell(sale: Sale) -> None:
    """Run the clients, each over its own connection."""

    async def run(number: int) -> None:
        async with async_client(sale.url) as http:
            await Client(sale, http, number).run()

    await asyncio.gather(*(run(number) for number in range(CLIENTS)))


def assert_explained(stock: dict[int, int], histories: dict[int, list[Act]]) -> None:
    """Check every product's history."""
    for product_id, history in histories.items():
        left = unexplained(stock[product_id], history)
        assert not left, f"no order explains {len(left)} of {len(history)} acts on product {product_id}: {left[:5]}"


def test_the_history_of_concurrent_clients_is_linearizable(
    service: Service, session: Session, connect: Callable[[], Session]
) -> None:
    for name in ("hold_ttl_s", "hold_extension_s", "payment_ttl_s"):
        session.call("change_setting", name, 1)
    sale = Sale(service.url, {session.create_product(stock): stock for stock in STOCK})
    administrator = threading.Thread(target=administer, args=(sale, connect(), random.Random(SEED)))
    administrator.start()
    asyncio.run(sell(sale))
    sale.is_over.set()
    administrator.join()

    note_what_fell_due(sale, session)
    for product_id in sale.stock:
        sale.decided[product_id].append(saw(session.available(product_id), time.time(), time.time()))
    assert_explained(sale.stock, sale.decided)
    # After a failed publication a change shows within a second.
    lag_s = CACHE_LAG_S if service.events("cache_degraded") else 0
    for product_id, acts in sale.shown.items():
        sale.shown[product_id] = [act.until(act.end + lag_s) if act.change else act for act in acts]
    assert_explained(sale.stock, sale.shown)
