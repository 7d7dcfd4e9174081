"""What goes into each procedure that the service calls, and what comes out: elements of batches, and rows.

A row's fields are the columns of the procedure in their order; the header of each file in `sql/procedures` explains
them. In the rows of a batch, `errno` is None unless that element was refused, and then most other fields are None.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from service.requests import BigInt, encode, money, utc


class HoldRequest(msgspec.Struct, omit_defaults=True):
    """An element of create_holds."""

    product_id: int
    quantity: int
    idempotency_key: str
    is_generated_key: bool
    caller: str = ""
    customer_id: str | None = None


class OrderRequest(msgspec.Struct, omit_defaults=True):
    """An element of create_orders: one hold, or a list of holds."""

    idempotency_key: str
    is_generated_key: bool
    caller: str = ""
    hold_id: int | None = None
    hold_ids: list[int] | None = None


class PaymentEvent(msgspec.Struct, omit_defaults=True):
    """An element of apply_payments; without `order_id` it is that of the payment's earlier events.

    The amount is text, because MySQL reads a JSON number as binary floating point. `currency` is None for the shop's.
    """

    idempotency_key: str
    status: str
    order_id: int | None = None
    payment_id: str | None = None
    amount: str | None = None
    currency: str | None = None


class RefundLine(msgspec.Struct):
    """One of the `lines` of a refund; `quantity` is in units."""

    hold_id: BigInt
    quantity: BigInt


class RefundRequest(msgspec.Struct, omit_defaults=True):
    """An element of refund_orders; without lines, all units that are left are refunded."""

    order_id: int
    restock: bool
    idempotency_key: str
    is_generated_key: bool
    caller: str = ""
    lines: list[RefundLine] | None = None


class ScopedId(NamedTuple):
    """An element of the procedures that take holds or orders: the id, and who asks for it."""

    id: int
    caller: str


class HoldReduction(NamedTuple):
    """An element of reduce_holds; `quantity` is in units."""

    id: int
    caller: str
    quantity: int


class PaymentStart(NamedTuple):
    """An element of start_payments; `window_s` is in seconds, None: the setting payment_started_ttl_s."""

    id: int
    caller: str
    window_s: int | None


class ProductPage(NamedTuple):
    """The arguments of list_products."""

    after: int
    limit: int


class OrderPage(NamedTuple):
    """The arguments of list_orders."""

    caller: str
    customer_id: str | None
    after: int
    limit: int


class EventPage(NamedTuple):
    """The arguments of list_events."""

    caller: str
    after: int
    limit: int


class CreatedHold(NamedTuple):
    """A row of create_holds."""

    hold_id: int
    expires_at: datetime
    replayed: int
    errno: int | None
    available_stock: int | None
    sale_starts_at: datetime | None
    sale_ends_at: datetime | None


class CreatedOrder(NamedTuple):
    """A row of create_orders; `hold_ids` is a JSON array, None where the first request named one hold."""

    order_id: int
    hold_id: int | None
    status: str
    replayed: int
    errno: int | None
    product_id: int | None
    quantity: int | None
    hold_ids: str | None


class AppliedPayment(NamedTuple):
    """A row of apply_payments; `order_id` is None where no order is known for the event."""

    order_id: int | None
    status: str | None
    outcome: str
    replayed: int
    errno: int | None


class ReleasedHold(NamedTuple):
    """A row of release_holds."""

    hold_id: int
    replayed: int
    errno: int | None
    order_id: int | None


class ReducedHold(NamedTuple):
    """A row of reduce_holds."""

    hold_id: int
    quantity: int
    expires_at: datetime
    replayed: int
    errno: int | None
    order_id: int | None


class ExtendedHold(NamedTuple):
    """A row of extend_holds."""

    hold_id: int
    expires_at: datetime
    replayed: int
    errno: int | None
    order_id: int | None


class CancelledOrder(NamedTuple):
    """A row of cancel_orders; `hold_ids` is a JSON array, None where the order has one line."""

    order_id: int
    hold_id: int | None
    status: str
    replayed: int
    errno: int | None
    hold_ids: str | None


class CreatedRefund(NamedTuple):
    """A row of refund_orders; `status` is that of the order."""

    refund_id: int
    order_id: int
    amount: Decimal
    status: str
    replayed: int
    errno: int | None


class StartedPayment(NamedTuple):
    """A row of start_payments."""

    order_id: int
    payment_due_at: datetime
    replayed: int
    errno: int | None


class Hold(NamedTuple):
    """A row of get_holds."""

    hold_id: int
    product_id: int
    quantity: int
    status: str
    expires_at: datetime
    errno: int | None
    order_id: int | None
    unit_price: Decimal | None


class OrderLine(msgspec.Struct):
    """One of the `lines` of an order; MySQL writes the price as a string."""

    hold_id: int
    product_id: int
    quantity: int
    unit_price: Decimal
    refunded_quantity: int


class Order(NamedTuple):
    """A row of get_orders and list_orders; hold, product and quantity are None where the order has several lines."""

    order_id: int
    hold_id: int | None
    product_id: int | None
    quantity: int | None
    amount: Decimal
    status: str
    payment_due_at: datetime
    errno: int | None
    lines: str

    def document(self) -> dict[str, Any]:
        """The members of the answer to GET /api/orders/{id}."""
        lines = _LINES.decode(self.lines)
        return {
            "order_id": self.order_id,
            **(
                {"hold_id": self.hold_id, "product_id": self.product_id, "quantity": self.quantity}
                if len(lines) == 1
                else {}
            ),
            "amount": money(self.amount),
            "status": self.status,
            "payment_due_at": utc(self.payment_due_at),
            "lines": [{**msgspec.structs.asdict(line), "unit_price": money(line.unit_price)} for line in lines],
        }


_LINES = msgspec.json.Decoder(list[OrderLine])


class Product(NamedTuple):
    """A row of get_products, where an unknown one has no id, of list_products, and of what a batch changed."""

    id: int
    name: str
    price: Decimal
    available_stock: int
    version: int
    errno: int | None
    sale_starts_at: datetime | None
    sale_ends_at: datetime | None
    maximum_per_customer: int | None

    def body(self) -> bytes:
        """The answer to GET /api/products/{id}."""
        return encode(self.document())

    def document(self) -> dict[str, Any]:
        """The members of that answer."""
        document = {
            "id": self.id,
            "name": self.name,
            "price": money(self.price),
            "available_stock": self.available_stock,
        }
        if self.sale_starts_at is not None:
            document["sale_starts_at"] = utc(self.sale_starts_at)
        if self.sale_ends_at is not None:
            document["sale_ends_at"] = utc(self.sale_ends_at)
        if self.maximum_per_customer is not None:
            document["maximum_per_customer"] = self.maximum_per_customer
        return document


# The members of an event that only some types have.
EVENT_MEMBERS = {
    "order.cancelled": ("reason",),
    "order.refunded": ("refund_id", "amount", "status"),
    "refund.due": ("reason", "amount", "payment_id"),
}


class Event(NamedTuple):
    """A row of list_events; columns that its type does not have are None."""

    position: int
    type: str
    order_id: int | None
    hold_ids: str
    occurred_at: datetime
    reason: str | None
    amount: Decimal | None
    payment_id: str | None
    refund_id: int | None
    status: str | None

    def document(self) -> dict[str, Any]:
        """An item of the answer to GET /api/events."""
        amount = None if self.amount is None else money(self.amount)
        members: dict[str, Any] = {"reason": self.reason, "amount": amount, "payment_id": self.payment_id}
        members |= {"refund_id": self.refund_id, "status": self.status}
        return {
            "position": self.position,
            "type": self.type,
            "order_id": self.order_id,
            "hold_ids": msgspec.Raw(self.hold_ids.encode()),
            "occurred_at": utc(self.occurred_at),
            **{name: members[name] for name in EVENT_MEMBERS.get(self.type, ())},
        }


class EventPositions(NamedTuple):
    """The second row of list_events."""

    last_position: int
    oldest_position: int
    errno: int | None


class FoundEvents(NamedTuple):
    """The rows of list_events."""

    events: list[Event]
    positions: EventPositions

    @property
    def is_empty(self) -> bool:
        """Whether the page has no event yet, and may get one."""
        return not self.events and self.positions.errno is None


class Health(NamedTuple):
    """The row of get_health."""

    schema_version: int
    oldest_code: int
    sweep_lag_s: int
    is_sweep_enabled: int


class Figures(NamedTuple):
    """The second row of get_metrics."""

    holds_expired: int
    orders_expired: int
    refunds_due: int
    payments_waiting: int
    stock_differences: int
    stock_checked_at: datetime | None
    flow_control_throttles: int | None
    payments_to_review: int
    last_event_position: int


class Member(NamedTuple):
    """A member of the replication group in get_metrics."""

    member: str
    state: str
    role: str
    certifier_queue: int
    applier_queue: int


class EventReceiver(NamedTuple):
    """A receiver of events in get_metrics."""

    receiver_id: int
    delivery_state: str
    lag_s: int
    events_retried: int
    events_set_aside: int


class Stock(NamedTuple):
    """A product in get_metrics."""

    product_id: int
    total_stock: int
    available_stock: int


class DatabaseMetrics(NamedTuple):
    """The rows of get_metrics."""

    health: Health
    figures: Figures
    stock: list[Stock]
    members: list[Member]
    event_receivers: list[EventReceiver]
