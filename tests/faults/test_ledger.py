"""Tests of the ledger itself: it finds the defects that it must find."""

from collections.abc import Iterator

import pytest

from tests.faults.ledger import Entry, Load, steady_load
from tests.http.support import Service
from tests.support import Session

# Defects, made by hand, and how the ledger names them. %s is the id of an order of which a client knows.
DEFECTS = {
    "does not know it": "DELETE FROM idempotency_keys WHERE operation = 'order' AND result_id = %s",
    "has no key": "DELETE FROM idempotency_keys WHERE operation = 'hold' AND result_id ="
    " (SELECT hold_id FROM order_lines WHERE order_id = %s)",
    "MySQL has": "UPDATE idempotency_keys SET result_id = result_id + 1 WHERE operation = 'order' AND result_id = %s",
    "check_stock() says": "UPDATE stock SET available = available - 1 WHERE product_id ="
    " (SELECT product_id FROM order_lines WHERE order_id = %s)",
    "STUCK": "UPDATE payment_events SET outcome = 'waiting' WHERE order_id = %s",
    "payments were applied": "UPDATE orders SET status = 'pending' WHERE id = %s AND status = 'paid'",
    "of other holds": "UPDATE order_lines SET hold_id = -1 WHERE order_id = %s",
}


@pytest.fixture(scope="module")
def load(service: Service, database_url: str) -> Load:
    """A finished load without a fault."""
    with steady_load(service, database_url) as ended:
        ended.wait_until_served(5)
    return ended


@pytest.fixture
def paid(load: Load) -> Entry:
    """An order of that load with an applied payment."""
    told = [entry.told for entry in load.ledger.entries if entry.kind == "payment"]
    order_ids = {document["order_id"] for document in told if document and document["status"] == "paid"}
    orders = (entry for entry in load.ledger.entries if entry.kind == "order" and entry.told)
    return next(entry for entry in orders if entry.told and entry.told["order_id"] in order_ids)


@pytest.fixture
def in_vain(session: Session) -> Iterator[Session]:
    """A session whose changes are rolled back."""
    session.execute("START TRANSACTION")
    yield session
    session.execute("ROLLBACK")


@pytest.mark.parametrize("breach", DEFECTS)
def test_the_ledger_finds_lost_holds_units_sold_twice_and_stuck_payments(
    load: Load, paid: Entry, in_vain: Session, breach: str
) -> None:
    assert load.ledger.breaches(in_vain, settled=True) == []
    assert paid.told
    in_vain.execute(DEFECTS[breach], paid.told["order_id"])
    assert any(breach in found for found in load.ledger.breaches(in_vain, settled=True))
