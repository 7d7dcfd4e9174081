"""Tests of the ledger itself: it finds the defects that it must find."""

from collections.abc import Iterator

import pytest

from tests.faults.ledger import Load, steady_load
from tests.http.support import Service
from tests.support import Session, eventually

# Defects, made by hand, and how the ledger names them: statements with the id of an order of which a client knows, and
# with the id of its reduced hold.
DEFECTS = {
    "does not know it": "DELETE FROM idempotency_keys WHERE operation = 'order' AND result_id = {order_id}",
    "has no key": "DELETE FROM idempotency_keys WHERE operation = 'hold' AND result_id = {hold_id}",
    "MySQL has": "UPDATE idempotency_keys SET result_id = result_id + 1 WHERE operation = 'order'"
    " AND result_id = {order_id}",
    "check_stock() says": "UPDATE stock SET available = available - 1 WHERE product_id ="
    " (SELECT product_id FROM holds WHERE id = {hold_id})",
    "STUCK": "UPDATE payment_events SET outcome = 'waiting' WHERE order_id = {order_id}",
    "payments were applied": "UPDATE orders SET status = 'pending' WHERE id = {order_id}",
    "of other holds": "UPDATE order_lines SET hold_id = -1 WHERE hold_id = {hold_id}",
    "order lines differ": "DELETE FROM order_lines WHERE hold_id = {hold_id}",
    "LOST": "UPDATE holds INNER JOIN order_lines AS line ON line.hold_id = holds.id"
    " SET holds.quantity = holds.quantity + 1, line.quantity = line.quantity + 1 WHERE holds.id = {hold_id}",
    "were refunded": "UPDATE order_lines SET refunded_quantity = IF(refunded_quantity = 0, 1, 0)"
    " WHERE hold_id = {hold_id}",
    "all units are refunded": "UPDATE orders SET status = IF(status = 'paid', 'refunded', 'paid')"
    " WHERE id = {order_id}",
    "events do not tell": "DELETE FROM events WHERE order_id = {order_id} AND type = 'order.paid'",
    "instead of": "UPDATE events SET type = 'hold.expired' WHERE order_id = {order_id} AND type = 'order.created'",
    "have gaps": "DELETE FROM events WHERE order_id = {order_id} AND type = 'order.created'",
    "cost": "UPDATE orders SET amount = amount + 1 WHERE id = {order_id}",
}


@pytest.fixture(scope="module")
def load(service: Service, database_url: str) -> Load:
    """A finished load without a fault, in which a reduced hold was ordered together with others and paid."""
    with steady_load(service, database_url) as ended:
        eventually(lambda: paid_with_a_reduced_hold(ended))
    return ended


def paid_with_a_reduced_hold(load: Load) -> dict[str, int]:
    """The ids of an order of several holds that is paid, and of one of its holds, which was reduced; empty if none."""
    told = {
        kind: [entry.told for entry in load.ledger.entries if entry.kind == kind and entry.told]
        for kind in ("reduction", "order", "payment")
    }
    paid = {document["order_id"] for document in told["payment"] if document["status"] == "paid"}
    reduced = {document["hold_id"] for document in told["reduction"]}
    for order in told["order"]:
        if order["order_id"] in paid and reduced & set(order.get("hold_ids", ())):
            return {"order_id": order["order_id"], "hold_id": min(reduced & set(order["hold_ids"]))}
    return {}


@pytest.fixture
def in_vain(session: Session) -> Iterator[Session]:
    """A session whose changes are rolled back."""
    session.execute("START TRANSACTION")
    yield session
    session.execute("ROLLBACK")


@pytest.mark.parametrize("breach", DEFECTS)
def test_the_ledger_finds_lost_requests_units_sold_twice_and_stuck_payments(
    load: Load, in_vain: Session, breach: str
) -> None:
    assert load.ledger.breaches(in_vain, settled=True) == []
    in_vain.execute(DEFECTS[breach].format(**paid_with_a_reduced_hold(load)))
    assert any(breach in found for found in load.ledger.breaches(in_vain, settled=True))
