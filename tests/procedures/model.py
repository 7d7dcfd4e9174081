"""What the procedures promise, as a small program that takes one request after another.

A due hold or an overdue order counts as available to whoever asks for units, swept or not.
"""

from dataclasses import dataclass, field

from tests.support import Row

HOLD_TTL_S = 120
HOLD_EXTENSION_S = 60
PAYMENT_TTL_S = 900
PAYMENT_STARTED_TTL_S = 1800

REFUSALS = {"ordered": 30203, "released": 30204, "expired": 30202}


@dataclass
class Hold:
    """Units of a product, reserved."""

    product_id: int
    quantity: int
    expires_at: int
    customer_id: str | None = None
    is_extended: bool = False
    status: str = "active"


@dataclass
class Order:
    """An order of a hold's units."""

    hold: Hold
    due_at: int
    is_started: bool = False
    status: str = "pending"


@dataclass
class Rules:
    """When a product is on sale, and how much of it one customer may have."""

    starts_at: int | None = None
    ends_at: int | None = None
    maximum_per_customer: int | None = None

    def is_open(self, now: int) -> bool:
        """Whether the product is on sale."""
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)


@dataclass
class Event:
    """A payment event and what became of it."""

    order_id: int
    status: str
    outcome: str = "waiting"


@dataclass
class Model:
    """The shop. Its methods answer what a request's row must say; ids come from the procedures."""

    stock: dict[int, int]
    now: int = 0
    rules: dict[int, Rules] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[object, int]] = field(default_factory=dict)

    def sweep(self) -> None:
        """Expire what is due."""
        for hold in self.holds.values():
            if hold.status == "active" and hold.expires_at <= self.now:
                hold.status = "expired"
        for order in self.orders.values():
            if order.status == "pending" and order.due_at <= self.now:
                order.status = "cancelled"

    def taken(self, product_id: int) -> list[Hold]:
        """Holds that have units of a product, ordered ones included and due ones not."""
        active = [hold for hold in self.holds.values() if hold.status == "active" and hold.expires_at > self.now]
        ordered = [
            order.hold
            for order in self.orders.values()
            if order.status == "paid" or (order.status == "pending" and order.due_at > self.now)
        ]
        return [hold for hold in active + ordered if hold.product_id == product_id]

    def available(self, product_id: int) -> int:
        """Units that may be held, those that are due included."""
        return self.stock[product_id] - sum(hold.quantity for hold in self.taken(product_id))

    def had(self, product_id: int, customer_id: str) -> int:
        """Units of a product that a customer holds, ordered or paid."""
        return sum(hold.quantity for hold in self.taken(product_id) if hold.customer_id == customer_id)

    def replay(self, operation: str, key: str | None, request: object) -> Row | None:
        """What a used key says; None where the request is new."""
        if key is None or (operation, key) not in self.keys:
            return None
        known, result_id = self.keys[operation, key]
        return {"replayed": 1, "id": result_id} if known == request else {"errno": 30002}

    def record(self, operation: str, key: str | None, request: object, result_id: int) -> None:
        """Keep an accepted request under its key."""
        if key is not None:
            self.keys[operation, key] = (request, result_id)

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
        self.holds[new_id] = Hold(product_id, quantity, self.now + HOLD_TTL_S, customer_id)
        self.record("hold", key, (product_id, quantity, customer_id), new_id)
        return {"id": new_id}

    def refusal(self, product_id: int, quantity: int, customer_id: str | None) -> int | None:
        """Why units may not be held; None where they may."""
        if product_id not in self.stock:
            return 30101
        rules = self.rules.get(product_id, Rules())
        if not rules.is_open(self.now):
            return 30104
        if rules.maximum_per_customer is not None:
            if customer_id is None:
                return 30106
            if quantity + self.had(product_id, customer_id) > rules.maximum_per_customer:
                return 30105
        return 30102 if quantity > self.available(product_id) else None

    def extend_hold(self, hold_id: int, _new_id: int) -> Row:
        """Give a hold more time."""
        hold = self.holds.get(hold_id)
        if hold is None:
            return {"errno": 30201}
        if hold.status != "active" or hold.expires_at <= self.now:
            return {"errno": REFUSALS["expired" if hold.status == "active" else hold.status]}
        if hold.is_extended:
            return {"replayed": 1}
        hold.expires_at, hold.is_extended = hold.expires_at + HOLD_EXTENSION_S, True
        return {}

    def create_order(self, request: Row, new_id: int) -> Row:
        """Order a hold, and apply the events that waited for it."""
        hold_id, key = request["hold_id"], request.get("idempotency_key")
        if answer := self.replay("order", key, hold_id):
            return answer
        hold = self.holds.get(hold_id)
        if hold is None:
            return {"errno": 30201}
        is_due = hold.status == "active" and hold.expires_at <= self.now
        if is_due or hold.status != "active":
            return {"errno": REFUSALS["expired" if is_due else hold.status]}
        hold.status = "ordered"
        self.orders[new_id] = Order(hold, self.now + PAYMENT_TTL_S)
        for event in self.events.values():
            if event.order_id == new_id:
                self.settle(event)
        self.record("order", key, hold_id, new_id)
        return {"id": new_id}

    def settle(self, event: Event) -> None:
        """Apply an event to its order."""
        order = self.orders[event.order_id]
        if order.status == "pending":
            event.outcome, order.status = "applied", "paid" if event.status == "success" else "cancelled"
        else:
            event.outcome = "refund_due" if event.status == "success" else "ignored"

    def apply_payment(self, request: Row, _new_id: int) -> Row:
        """Take an event in; its outcome is read after its batch."""
        key, order_id = request["idempotency_key"], request["order_id"]
        status = request["status"].replace("failed", "failure")
        if status not in ("success", "failure"):
            return {"errno": 30001}
        if key in self.events:
            known = self.events[key]
            return {"replayed": 1} if (known.order_id, known.status) == (order_id, status) else {"errno": 30002}
        self.events[key] = Event(order_id, status)
        if order_id in self.orders:
            self.settle(self.events[key])
        return {}

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
        if order.status == "paid":
            return {"errno": 30302}
        answer = {"replayed": 1} if order.status == "cancelled" else {}
        order.status = "cancelled"
        return answer

    def start_payment(self, order_id: int, _new_id: int) -> Row:
        """Give an order more time."""
        order = self.orders.get(order_id)
        if order is None:
            return {"errno": 30301}
        if order.status != "pending":
            return {"errno": 30302 if order.status == "paid" else 30303}
        if order.is_started:
            return {"replayed": 1}
        order.due_at, order.is_started = max(order.due_at, self.now + PAYMENT_STARTED_TTL_S), True
        return {}
