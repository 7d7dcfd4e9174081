"""backfill_holds: prices of holds that release 0.9 made."""

from decimal import Decimal

from tests.support import Session


def price_of(session: Session, hold_id: int) -> Decimal | None:
    """The price that a hold has kept."""
    price: Decimal | None = session.call("get_hold", hold_id)[0]["unit_price"]
    return price


def make_holds_of_release_0_9(session: Session, product_id: int, count: int) -> list[int]:
    """Active holds of one unit that have no price."""
    rows = session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * count)
    hold_ids = [row["hold_id"] for row in rows]
    session.execute("UPDATE holds SET unit_price = NULL WHERE id BETWEEN %s AND %s", hold_ids[0], hold_ids[-1])
    return hold_ids


def test_active_holds_without_a_price_get_their_products_price(session: Session) -> None:
    cheap, dear = session.create_product(stock=1, price="0.01"), session.create_product(stock=1, price="99.00")
    holds = [make_holds_of_release_0_9(session, product_id, 1)[0] for product_id in (cheap, dear)]
    session.call_all("backfill_holds")
    assert [price_of(session, hold_id) for hold_id in holds] == [Decimal("0.01"), Decimal("99.00")]


def test_more_holds_than_one_transaction_takes_get_a_price(session: Session) -> None:
    product_id = session.create_product(stock=3000)
    holds = [hold for _ in range(3) for hold in make_holds_of_release_0_9(session, product_id, 1000)]
    session.call_all("backfill_holds")
    assert {row["unit_price"] for row in session.batch("get_holds", holds[:1000])} == {Decimal(100)}
    assert session.query("SELECT id FROM holds WHERE status = 'active' AND unit_price IS NULL") == []


def test_holds_that_have_a_price_keep_it(session: Session) -> None:
    product_id = session.create_product(stock=1, price="10.00")
    hold_id = session.create_hold(product_id)
    session.call("change_product", product_id, "Limited Edition Item", "20.00", None)
    session.call_all("backfill_holds")
    assert price_of(session, hold_id) == Decimal("10.00")


def test_holds_that_ended_stay_without_a_price(session: Session) -> None:
    (hold_id,) = make_holds_of_release_0_9(session, session.create_product(stock=1), 1)
    session.call("release_hold", hold_id)
    session.call_all("backfill_holds")
    assert price_of(session, hold_id) is None


def test_it_is_refused_inside_a_transaction(session: Session) -> None:
    session.execute("START TRANSACTION")
    assert session.errno("backfill_holds") == 30003
