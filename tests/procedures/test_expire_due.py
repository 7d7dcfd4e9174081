"""expire_due: expire due holds, cancel overdue orders, return their units."""

import pytest

from tests.support import Row, Session


@pytest.fixture(autouse=True)
def _nothing_is_due(session: Session) -> None:
    session.sweep_everything()


def expire(session: Session, limit: int = 1000) -> Row:
    """CALL expire_due; returns its row."""
    return session.call("expire_due", limit)[0]


def test_due_holds_expire_and_their_stock_returns(session: Session) -> None:
    products = [session.create_product(stock=9) for _ in range(3)]
    for product_id in products:
        session.create_hold(product_id, 1)
        session.create_hold(product_id, 4)
    session.travel(121)
    row = expire(session)
    assert list(row) == ["sweep_id", "holds", "orders", "units", "is_busy"]
    assert (row["holds"], row["orders"], row["units"], row["is_busy"]) == (6, 0, 15, 0)
    assert [session.available(product_id) for product_id in products] == [9, 9, 9]


def test_overdue_orders_are_cancelled_and_their_stock_returns(session: Session) -> None:
    product_id = session.create_product(stock=9)
    orders = [session.create_order(product_id, 2), session.create_order(product_id, 3)]
    paid = session.create_order(product_id, 1)
    session.call("apply_payment", "paid in time", paid, "success")
    session.travel(901)
    row = expire(session)
    assert (row["holds"], row["orders"], row["units"]) == (0, 2, 5)
    assert [session.status_of("order", order_id) for order_id in orders] == ["cancelled", "cancelled"]
    assert session.status_of("order", paid) == "paid"
    assert session.available(product_id) == 8


def test_rows_are_due_from_the_second_of_their_deadline_on(session: Session) -> None:
    product_id = session.create_product(stock=2)
    session.stand_at("2000000000")
    session.create_hold(product_id)
    session.stand_at("2000000119.999999")
    assert expire(session)["holds"] == 0
    session.stand_at("2000000120")
    assert expire(session)["holds"] == 1
    session.create_order(product_id)
    session.stand_at("2000001019.999999")
    assert expire(session)["orders"] == 0
    session.stand_at("2000001020")
    assert expire(session)["orders"] == 1


def test_a_sweep_with_nothing_due_records_nothing(session: Session) -> None:
    session.create_hold(session.create_product(stock=2))
    before = session.query("SELECT COUNT(*) AS sweeps FROM sweeps")
    assert list(expire(session).values()) == [None, 0, 0, 0, 0]
    assert session.query("SELECT COUNT(*) AS sweeps FROM sweeps") == before


def test_a_second_sweep_finds_nothing(session: Session) -> None:
    product_id = session.create_product(stock=2)
    session.create_hold(product_id)
    session.travel(121)
    assert (expire(session)["holds"], expire(session)["holds"]) == (1, 0)
    assert session.available(product_id) == 2


def test_a_sweep_is_recorded(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.create_order(product_id, 2)
    session.travel(800)
    session.create_hold(product_id, 3)
    session.travel(930)
    row = expire(session)
    (sweep,) = session.query("SELECT * FROM sweeps WHERE id = %s", row["sweep_id"])
    assert (sweep["holds"], sweep["orders"], sweep["units"], sweep["reported_at"]) == (1, 1, 5, None)
    assert sweep["duration_ms"] >= 0


def test_the_limit_applies_to_holds_and_to_orders(session: Session) -> None:
    product_id = session.create_product(stock=20)
    for _ in range(3):
        session.create_order(product_id)
    session.travel(800)
    for _ in range(5):
        session.create_hold(product_id)
    session.travel(930)
    swept = [expire(session, 2) for _ in range(4)]
    assert [(row["holds"], row["orders"]) for row in swept] == [(2, 2), (2, 1), (1, 0), (0, 0)]


def test_the_oldest_deadlines_are_swept_first(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.travel(100)
    later = session.create_hold(product_id)
    session.travel(0)
    sooner = session.create_hold(product_id)
    session.travel(300)
    expire(session, 1)
    rows = session.query("SELECT id FROM holds WHERE id IN (%s, %s) AND status = 'expired'", later, sooner)
    assert rows == [{"id": sooner}]


def test_one_call_sweeps_more_than_one_transaction_can(session: Session) -> None:
    product_id = session.create_product(stock=1300)
    for size in (1000, 300):
        session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * size)
    session.travel(200)
    row = expire(session, 1200)
    assert (row["holds"], row["units"]) == (1200, 1200)
    (sweep,) = session.query("SELECT holds FROM sweeps WHERE id = %s", row["sweep_id"])
    assert sweep["holds"] == 200
    assert expire(session)["holds"] == 100
    assert session.available(product_id) == 1300
