"""What the procedures promise, as a small program that takes one request after another.

A due hold or an overdue order counts as available to whoever asks for units, swept or not.
"""

from dataclasses import dataclass, field

from tests.support import Row

HOLD_TTL_S = 120
PAYMENT_TTL_S = 900

REFUSALS = {"ordered": 30203, "released": 30204, "expired": 30202}


@dataclass
class Hold:
    """Units of a product, reserved."""

    product_id: int
    quantity: int
    expires_at: int
    status: str = "active"


@dataclass
class Order:
    """An order of a hold's units."""

    hold: Hold
    due_at: int
    status: str = "pending"


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

    def available(self, product_id: int) -> int:
        """Units that may be held, those that are due included."""
        held = sum(
            hold.quantity
            for hold in self.holds.values()
            if hold.product_id == product_id and hold.status == "active" and hold.expires_at > self.now
        )
        ordered = sum(
            order.hold.quantity
            for order in self.orders.values()
            if order.hold.product_id == product_id
            and (order.status == "paid" or (order.status == "pending" and order.due_at > self.now))
        )
        return self.stock[product_id] - held - ordered

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
        if quantity < 1:
            return {"errno": 30001}
        key = request.get("idempotency_key")
        if answer := self.replay("hold", key, (product_id, quantity)):
            return answer
        if product_id not in self.stock:
            return {"errno": 30101}
        if quantity > self.available(product_id):
            return {"errno": 30102}
        self.holds[new_id] = Hold(product_id, quantity, self.now + HOLD_TTL_S)
        self.record("hold", key, (product_id, quantity), new_id)
        return {"id": new_id}

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
