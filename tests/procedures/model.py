"""What the procedures promise, as a small program that takes one request after another.

A due hold or an overdue order counts as available to whoever asks for units, swept or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import takewhile
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from tests.support import NOBODYS_ID, Row

HOLD_TTL_S = 120
HOLD_EXTENSION_S = 60
PAYMENT_TTL_S = 900
PAYMENT_STARTED_TTL_S = PAYMENT_WINDOW_MAXIMUM_S = 1800
CLIENT_KEY_TTL_S = WAITING_PAYMENT_TTL_S = 86_400
HISTORY_TTL_S = EVENT_TTL_S = 2_592_000

ORDERS_TO_COME = 3
# Counts what is due as available, as the model does, whether or not it was swept.
AVAILABLE = """
SELECT
    available
    + COALESCE((
        SELECT SUM(quantity) FROM holds
        WHERE product_id = stock.product_id AND status = 'active' AND expires_at <= UTC_TIMESTAMP()
    ), 0)
    + COALESCE((
        SELECT SUM(line.quantity) FROM orders INNER JOIN order_lines AS line ON line.order_id = orders.id
        WHERE line.product_id = stock.product_id AND status = 'pending' AND payment_due_at <= UTC_TIMESTAMP()
    ), 0) AS units,
    total
FROM stock WHERE product_id = %s
"""

PAYMENT_STATUSES = {
    **{word: word for word in ("success", "failure", "declined", "pending", "processing", "authorized")},
    **{word: word for word in ("refunded", "disputed")},
    **dict.fromkeys(("failed", "expired", "cancelled", "canceled"), "failure"),
}
REFUND_REASONS = {"pending": "wrong_amount", "cancelled": "too_late", "paid": "paid_twice", "refunded": "paid_twice"}
# Preconditions of a state machine's rules: without them most examples would refer to rows that do not exist.
if_held = precondition(lambda self: self.model.holds)
if_ordered = precondition(lambda self: self.model.orders)
if_paid = precondition(lambda self: self.model.events)

quantities = st.sampled_from((1, 1, 1, 2, 3, 9, 0))
# Whether it is restocked; places of lines in the order and their quantities, or None: all that is left.
refunds = st.tuples(
    st.booleans(),
    st.one_of(st.none(), st.lists(st.tuples(st.integers(0, 7), quantities), min_size=1, max_size=2)),
)
Refund = tuple[bool, list[tuple[int, int]] | None]

REFUSALS = {"ordered": 30203, "released": 30204, "expired": 30202}


def latest(ids: Iterable[Any], position: int) -> Any:
    """One of the eight latest ids, or nobody's."""
    choices = [NOBODYS_ID, *list(ids)[-8:]]
    return choices[-1 - position % len(choices)]


def and_next(order_ids: Iterable[int], last_id: int) -> list[int]:
    """Orders, and those that come next."""
    return [*order_ids, *range(last_id + 1, last_id + 1 + ORDERS_TO_COME)]


@dataclass
class Hold:
    """Units of a product, reserved."""

    product_id: int
    quantity: int
    unit_price: Decimal
    expires_at: int
    customer_id: str | None = None
    is_extended: bool = False
    status: str = "active"
    refunded: int = 0  # units of it, once it is ordered

    @property
    def left(self) -> int:
        """Units that were not refunded."""
        return self.quantity - self.refunded


@dataclass
class Order:
    """An order of the units of one or several holds."""

    holds: dict[int, Hold]
    due_at: int
    is_started: bool = False
    status: str = "pending"

    @property
    def amount(self) -> Decimal:
        """The sum over its lines."""
        return sum((hold.quantity * hold.unit_price for hold in self.holds.values()), Decimal(0))


@dataclass
class Rules:
    """When a product is on sale, and how much of it one hold and one customer may have."""

    starts_at: int | None = None
    ends_at: int | None = None
    maximum_per_customer: int | None = None
    maximum_per_hold: int | None = None

    def is_open(self, now: int) -> bool:
        """Whether the product is on sale."""
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)


@dataclass
class Event:
    """A payment event and what became of it."""

    order_id: int
    status: str
    received_at: int
    payment_id: str | None = None
    amount: Decimal | None = None
    currency: str | None = None  # None: the shop's
    outcome: str = "waiting"
    refund_reason: str | None = None
    is_settled: bool = False  # its refund
    to_review: bool | None = None  # None: it never was, False: it was reviewed


@dataclass(frozen=True)
class FeedEvent:
    """An event of the feed, without its position."""

    type: str
    order_id: int | None
    hold_ids: tuple[int, ...]
    occurred_at: int
    reason: str | None = None
    amount: Decimal | None = None
    payment_id: str | None = None
    refund_id: int | None = None
    status: str | None = None


@dataclass
class Model:
    """The shop. Its methods answer what a request's row must say; ids come from the procedures."""

    stock: dict[int, int]
    now: int = 0
    hold_ttl_s: int = HOLD_TTL_S
    prices: dict[int, Decimal] = field(default_factory=dict)
    rules: dict[int, Rules] = field(default_factory=dict)
    archived: set[int] = field(default_factory=set)
    holds: dict[int, Hold] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    refunds: dict[int, Row] = field(default_factory=dict)
    told: list[FeedEvent] = field(default_factory=list)
    keys: dict[tuple[str, str], tuple[object, int, int]] = field(default_factory=dict)

    def sweep(self) -> None:
        """Expire what is due."""
        for hold_id in self.due_holds():
            self.expire(hold_id)
        for order_id in self.overdue_orders():
            self.cancel(order_id, "timed_out")

    def due_holds(self) -> list[int]:
        """Holds whose time has ended, and that nobody has swept."""
        return [
            hold_id for hold_id, hold in self.holds.items() if hold.status == "active" and hold.expires_at <= self.now
        ]

    def overdue_orders(self) -> list[int]:
        """Orders that were pending when their time ended, and that nobody has swept."""
        return [
            order_id
            for order_id, order in self.orders.items()
            if order.status == "pending" and order.due_at <= self.now
        ]

    def expire(self, hold_id: int) -> None:
        """Expire a hold."""
        self.holds[hold_id].status = "expired"
        self.told.append(FeedEvent("hold.expired", None, (hold_id,), self.now))

    def cancel(self, order_id: int, reason: str) -> None:
        """Cancel an order."""
        self.orders[order_id].status = "cancelled"
        self.tell("order.cancelled", order_id, reason)

    def pay(self, order_id: int) -> None:
        """Pay an order."""
        self.orders[order_id].status = "paid"
        self.tell("order.paid", order_id)

    def tell(self, type_: str, order_id: int, reason: str | None = None, event: Event | None = None) -> None:
        """Put something into the feed that happened to an order, or because of a payment event."""
        order = self.orders.get(order_id)
        amount = event.amount if event else None
        if event and amount is None and order:
            amount = order.amount
        hold_ids = () if order is None or reason == "orphaned" else tuple(sorted(order.holds))
        self.told.append(
            FeedEvent(type_, order_id, hold_ids, self.now, reason, amount, event.payment_id if event else None)
        )

    def taken(self, product_id: int) -> list[Hold]:
        """Holds that have units of a product, ordered ones included and due ones not."""
        active = [hold for hold in self.holds.values() if hold.status == "active" and hold.expires_at > self.now]
        ordered = [
            hold
            for order in self.orders.values()
            if order.status == "paid" or (order.status == "pending" and order.due_at > self.now)
            for hold in order.holds.values()
        ]
        return [hold for hold in active + ordered if hold.product_id == product_id]

    def available(self, product_id: int) -> int:
        """Units that may be held, those that are due included."""
        return self.stock[product_id] - sum(hold.left for hold in self.taken(product_id))

    def had(self, product_id: int, customer_id: str) -> int:
        """Units of a product that a customer holds, ordered or paid."""
        return sum(hold.left for hold in self.taken(product_id) if hold.customer_id == customer_id)

    def paid_last(self) -> list[int]:
        """The ids of orders, those that can be refunded last, because they are rare."""
        return sorted(self.orders, key=lambda order_id: self.orders[order_id].status == "paid")

    def hold_of(self, order_id: int, place: int) -> int:
        """A hold of an order; nobody's at the place 0."""
        holds = list(self.orders[order_id].holds) if place and order_id in self.orders else [NOBODYS_ID]
        return holds[place % len(holds)]

    def replay(self, operation: str, key: str | None, request: object) -> Row | None:
        """What a used key says; None where the request is new."""
        if key is None or (operation, key) not in self.keys:
            return None
        known, result_id, _ = self.keys[operation, key]
        return {"replayed": 1, "id": result_id} if known == request else {"errno": 30002}

    def record(self, operation: str, key: str | None, request: object, result_id: int) -> None:
        """Keep an accepted request under its key."""
        if key is not None:
            self.keys[operation, key] = (request, result_id, self.now + CLIENT_KEY_TTL_S)

    def create_hold(self, request: Row, new_id: int) -> Row:
        """Hold units."""
        product_id, quantity = request["product_id"], request["quantity"]
        customer_id = request.get("customer_id")
        if quantity < 1:
            return {"errno": 30001}
        key = request.get("idempotency_key")
        if answer := self.replay("hold", key, (product_id, quantity, customer_id)):
            return answer
        if errno := self.refusal(product_id, quantity, customer_id):
            return {"errno": errno}
        price = self.prices.get(product_id, Decimal(100))
        self.holds[new_id] = Hold(product_id, quantity, price, self.now + self.hold_ttl_s, customer_id)
        self.record("hold", key, (product_id, quantity, customer_id), new_id)
        return {"id": new_id}

    def refusal(self, product_id: int, quantity: int, customer_id: str | None) -> int | None:
        """Why units may not be held; None where they may."""
        if product_id not in self.stock or product_id in self.archived:
            return 30107 if product_id in self.archived else 30101
        rules = self.rules.get(product_id, Rules())
        if rules.maximum_per_hold is not None and quantity > rules.maximum_per_hold:
            return 30103
        if not rules.is_open(self.now):
            return 30104
        if rules.maximum_per_customer is not None:
            if customer_id is None:
                return 30106
            if quantity + self.had(product_id, customer_id) > rules.maximum_per_customer:
                return 30105
        return 30102 if quantity > self.available(product_id) else None

    def adjust_stock(self, request: Row, new_id: int) -> Row:
        """Add units, or take available ones away."""
        product_id, quantity, key = request["product_id"], request["quantity"], request["idempotency_key"]
        if answer := self.replay("adjustment", key, (product_id, quantity)):
            return answer
        if product_id not in self.stock:
            return {"errno": 30101}
        if self.available(product_id) + quantity < 0:
            return {"errno": 30102}
        self.stock[product_id] += quantity
        self.record("adjustment", key, (product_id, quantity), new_id)
        return {"id": new_id, "total_stock": self.stock[product_id]}

    def extend_hold(self, hold_id: int, _new_id: int) -> Row:
        """Give a hold more time."""
        hold = self.holds.get(hold_id)
        if hold is None:
            return {"errno": 30201}
        if errno := self.hold_refusal(hold_id):
            return {"errno": errno}
        if hold.is_extended:
            return {"replayed": 1}
        hold.expires_at, hold.is_extended = hold.expires_at + HOLD_EXTENSION_S, True
        return {}

    def reduce_hold(self, request: list[Any], _new_id: int) -> Row:
        """Reduce a hold."""
        hold_id, _, quantity = request
        if quantity < 1:
            return {"errno": 30001}
        if errno := self.hold_refusal(hold_id):
            return {"errno": errno}
        hold = self.holds[hold_id]
        if quantity > hold.quantity:
            return {"errno": 30103}
        answer = {"replayed": int(quantity == hold.quantity), "quantity": quantity}
        hold.quantity = quantity
        return answer

    def create_order(self, request: Row, new_id: int) -> Row:
        """Order one or several holds, and apply the events that waited for the order."""
        listed, key = request.get("hold_ids"), request.get("idempotency_key")
        hold_ids = listed or [request.get("hold_id")]
        if len(set(hold_ids)) < len(hold_ids):
            return {"errno": 30001}
        if answer := self.replay("order", key, frozenset(hold_ids)):
            return answer
        for hold_id in hold_ids:
            if errno := self.hold_refusal(hold_id):
                return {"errno": errno, "hold_id": hold_id if listed else None}
        holds = {hold_id: self.holds[hold_id] for hold_id in hold_ids}
        if len({hold.customer_id for hold in holds.values()} - {None}) > 1:
            return {"errno": 30001}
        for hold in holds.values():
            hold.status = "ordered"
        order = self.orders[new_id] = Order(holds, self.now + PAYMENT_TTL_S)
        self.tell("order.created", new_id)
        if order.amount == 0:
            self.pay(new_id)
        for event in self.events.values():
            if event.order_id == new_id and event.outcome == "waiting":
                self.settle(event)
        self.record("order", key, frozenset(hold_ids), new_id)
        return {"id": new_id}

    def hold_refusal(self, hold_id: int) -> int | None:
        """Why a hold may not be ordered; None where it may."""
        hold = self.holds.get(hold_id)
        if hold is None:
            return 30201
        is_due = hold.status == "active" and hold.expires_at <= self.now
        return REFUSALS.get("expired" if is_due else hold.status)

    def settle(self, event: Event) -> None:
        """Apply an event to its order, unless it waited too long."""
        order = self.orders[event.order_id]
        event.outcome = "ignored"
        if self.waited_too_long(event):
            self.orphan(event)
        elif event.status == "failure" and order.status == "pending":
            event.outcome = "applied"
            self.cancel(event.order_id, "payment_failed")
        elif event.status == "refunded":
            self.settle_reported_refund(event)
        elif event.status == "success" and not self.is_repeated(event):
            if order.status == "pending" and event.amount in (None, order.amount) and event.currency is None:
                event.outcome = "applied"
                self.pay(event.order_id)
            elif order.amount or event.amount:
                event.outcome, event.refund_reason = "refund_due", REFUND_REASONS[order.status]
                event.to_review = True if order.status == "pending" else None
                self.tell("refund.due", event.order_id, event.refund_reason, event)

    def orphan(self, event: Event) -> None:
        """Mark an event as orphaned."""
        event.outcome = "orphaned"
        if self.is_refund_due(event):
            self.tell("refund.due", event.order_id, "orphaned", event)

    def orphan_what_waited_too_long(self) -> None:
        """Mark events as orphaned that waited too long, as cron does."""
        for event in self.events.values():
            if event.outcome == "waiting" and self.waited_too_long(event):
                self.orphan(event)

    def order_of_payment(self, request: Row) -> int | None:
        """The order of an event that names its payment only; None where no event has reported the payment."""
        named = [event.order_id for event in self.events.values() if event.payment_id == request["payment_id"]]
        recorded = self.events.get(request["idempotency_key"])
        return recorded.order_id if recorded else named[-1] if named else None

    def is_repeated(self, event: Event) -> bool:
        """Whether an earlier success of the order has reported the same payment."""
        return any(
            (other.status, other.order_id, other.payment_id) == ("success", event.order_id, event.payment_id)
            for other in takewhile(lambda other: other is not event, self.events.values())
            if event.payment_id is not None
        )

    def is_refund_due(self, event: Event) -> bool:
        """Whether money has to go back."""
        is_orphaned_money = (
            event.status == "success" and self.outcome(event) == "orphaned" and not self.is_repeated(event)
        )
        return not event.is_settled and (event.outcome == "refund_due" or is_orphaned_money)

    def settle_reported_refund(self, report: Event) -> None:
        """Settle the refund that is due under the same payment; without one nothing happens."""
        for event in takewhile(lambda event: event is not report, self.events.values()):
            is_same = (event.order_id, event.payment_id) == (report.order_id, report.payment_id)
            if is_same and report.payment_id is not None and self.is_refund_due(event):
                self.settle_due_refund(event)
                report.outcome = "applied"

    def settle_due_refund(self, event: Event) -> None:
        """Settle the refund of an event that may still be waiting."""
        if event.outcome == "waiting":
            self.orphan(event)
        event.is_settled = True

    def waited_too_long(self, event: Event) -> bool:
        """Whether an event is too old for an order; those of one batch come microseconds after the whole second."""
        return self.now > event.received_at + WAITING_PAYMENT_TTL_S

    def outcome(self, event: Event) -> str:
        """An event's outcome as it is now."""
        return "orphaned" if event.outcome == "waiting" and self.waited_too_long(event) else event.outcome

    def settle_refund(self, key: str) -> int | None:
        """Settle a refund; returns the errno of a refusal."""
        event = self.events.get(key)
        if event is None:
            return 30401
        if not event.is_settled and not self.is_refund_due(event):
            return 30402
        self.settle_due_refund(event)
        return None

    def settle_review(self, key: str) -> int | None:
        """Settle a review; returns the errno of a refusal."""
        event = self.events.get(key)
        if event is None:
            return 30401
        if event.to_review is None:
            return 30403
        event.to_review = False
        return None

    def purge(self) -> None:
        """Forget keys past their time, and what ended long ago; what was paid or is owed stays."""
        before = self.now - HISTORY_TTL_S
        self.keys = {name: key for name, key in self.keys.items() if key[2] > self.now}
        self.told = [told for told in self.told if told.occurred_at > self.now - EVENT_TTL_S]
        for hold_id, hold in list(self.holds.items()):
            if hold.status in ("expired", "released") and hold.expires_at <= before:
                del self.holds[hold_id]
        for order_id, order in list(self.orders.items()):
            events = {key: event for key, event in self.events.items() if event.order_id == order_id}
            is_owed = any(self.is_refund_due(event) or event.to_review for event in events.values())
            if order.status == "cancelled" and order.due_at <= before and not is_owed:
                del self.orders[order_id]
                self.holds = {hold_id: hold for hold_id, hold in self.holds.items() if hold_id not in order.holds}
                for key in events:
                    del self.events[key]

    def apply_payment(self, request: Row, _new_id: int) -> Row:
        """Take an event in; its outcome is read after its batch."""
        key, order_id, status = (
            request["idempotency_key"],
            request["order_id"],
            PAYMENT_STATUSES.get(request["status"]),
        )
        amount = None if request.get("amount") is None else Decimal(request["amount"])
        if status is None or (amount is not None and amount != round(amount, 2)):
            return {"errno": 30001}
        is_new = key not in self.events
        if is_new:
            payment_id, currency = request.get("payment_id"), request.get("currency")
            self.events[key] = Event(order_id, status, self.now, payment_id, amount, currency)
        event = self.events[key]
        if (event.order_id, event.status) != (order_id, status):
            return {"errno": 30002}
        if is_new and status == "disputed":
            event.to_review = True
        if is_new and order_id in self.orders:
            self.settle(event)
        elif is_new and status == "refunded":
            self.settle_reported_refund(event)
        return {} if is_new else {"replayed": 1}

    def release_hold(self, hold_id: int, _new_id: int) -> Row:
        """Give a hold back."""
        hold = self.holds.get(hold_id)
        if hold is None:
            return {"errno": 30201}
        if hold.status == "released":
            return {"replayed": 1}
        if hold.status != "active" or hold.expires_at <= self.now:
            return {"errno": 30203 if hold.status == "ordered" else 30202}
        hold.status = "released"
        return {}

    def cancel_order(self, order_id: int, _new_id: int) -> Row:
        """Cancel an order."""
        order = self.orders.get(order_id)
        if order is None:
            return {"errno": 30301}
        if order.status in ("paid", "refunded"):
            return {"errno": 30302}
        if order.status == "cancelled":
            return {"replayed": 1}
        self.cancel(order_id, "cancelled")
        return {}

    def start_payment(self, request: int | list[Any], _new_id: int) -> Row:
        """Give an order more time."""
        order_id, _, window_s = [request, "", None] if isinstance(request, int) else request
        if window_s is not None and not 1 <= window_s <= PAYMENT_WINDOW_MAXIMUM_S:
            return {"errno": 30001}
        order = self.orders.get(order_id)
        if order is None:
            return {"errno": 30301}
        if order.status != "pending":
            return {"errno": 30303 if order.status == "cancelled" else 30302}
        if order.is_started:
            return {"replayed": 1}
        seconds = PAYMENT_STARTED_TTL_S if window_s is None else window_s
        order.due_at, order.is_started = max(order.due_at, self.now + seconds), True
        return {}

    def refund_order(self, request: Row, new_id: int) -> Row:
        """Refund units of an order, or all that are left."""
        order_id, restock, lines = request["order_id"], request["restock"], request.get("lines")
        listed = {line["hold_id"]: line["quantity"] for line in lines or []}
        if len(listed) < len(lines or []) or min(listed.values(), default=1) < 1:
            return {"errno": 30001}
        key = request.get("idempotency_key")
        if answer := self.replay("refund", key, (order_id, restock, frozenset(listed.items()))):
            return {**answer, **self.refunds.get(answer.get("id", 0), {})}
        if errno := self.refund_refusal(order_id, listed):
            return {"errno": errno}
        order = self.orders[order_id]
        units = listed or {hold_id: hold.left for hold_id, hold in order.holds.items()}
        amount = sum((order.holds[hold_id].unit_price * quantity for hold_id, quantity in units.items()), Decimal(0))
        for hold_id, quantity in units.items():
            order.holds[hold_id].refunded += quantity
            if not restock:
                self.stock[order.holds[hold_id].product_id] -= quantity
        if not any(hold.left for hold in order.holds.values()):
            order.status = "refunded"
        self.refunds[new_id] = {"amount": amount, "status": order.status}
        told = FeedEvent("order.refunded", order_id, tuple(sorted(order.holds)), self.now, refund_id=new_id)
        self.told.append(replace(told, **self.refunds[new_id]))
        self.record("refund", key, (order_id, restock, frozenset(listed.items())), new_id)
        return {"id": new_id, **self.refunds[new_id]}

    def refund_refusal(self, order_id: int, listed: dict[int, int]) -> int | None:
        """Why units of an order may not be refunded; None where they may."""
        order = self.orders.get(order_id)
        if order is None:
            return 30301
        if order.status not in ("paid", "refunded"):
            return 30304
        if listed.keys() - order.holds.keys():
            return 30001
        is_too_much = any(quantity > order.holds[hold_id].left for hold_id, quantity in listed.items())
        return 30305 if is_too_much or order.status == "refunded" else None
