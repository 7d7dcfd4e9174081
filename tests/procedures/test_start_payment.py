"""start_payment: extend the deadline of a pending order whose buyer is paying."""

from datetime import datetime, timedelta

from tests.support import Session

EPOCH = datetime(1970, 1, 1)
START_S = 2_000_000_000


def due_at(session: Session, order_id: int) -> datetime:
    """The deadline of an order's payment."""
    moment: datetime = session.call("get_order", order_id)[0]["payment_due_at"]
    return moment


def test_a_started_payment_has_payment_started_ttl_s_from_now(session: Session) -> None:
    session.stand_at(str(START_S))
    order_id = session.create_order(session.create_product(stock=1))
    session.stand_at(f"{START_S + 600}.5")
    (row,) = session.call("start_payment", order_id)
    assert list(row) == ["order_id", "payment_due_at", "replayed"]
    expected = EPOCH + timedelta(seconds=START_S + 600 + 1800 + 1)
    assert row == {"order_id": order_id, "payment_due_at": expected, "replayed": 0}
    assert due_at(session, order_id) == expected


def test_a_second_start_replays_the_first(session: Session) -> None:
    session.stand_at(str(START_S))
    order_id = session.create_order(session.create_product(stock=1))
    (first,) = session.call("start_payment", order_id)
    session.stand_at(str(START_S + 600))
    assert session.call("start_payment", order_id) == [{**first, "replayed": 1}]
    assert due_at(session, order_id) == first["payment_due_at"]


def test_a_start_never_shortens_the_deadline(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    before = due_at(session, order_id)
    session.call("change_setting", "payment_started_ttl_s", 1)
    try:
        (row,) = session.call("start_payment", order_id)
    finally:
        session.call("change_setting", "payment_started_ttl_s", 1800)
    assert row["payment_due_at"] == due_at(session, order_id) == before


def test_a_started_order_is_cancelled_at_its_new_deadline(session: Session) -> None:
    session.stand_at(str(START_S))
    product_id = session.create_product(stock=1)
    order_id = session.create_order(product_id)
    session.call("start_payment", order_id)
    session.stand_at(f"{START_S + 1799}.999999")
    session.call("expire_due", 1000)
    assert session.errno("create_hold", product_id, 1, None) == 30102
    assert session.status_of("order", order_id) == "pending"
    session.stand_at(str(START_S + 1800))
    session.call("expire_due", 1000)
    assert session.errno("start_payment", order_id) == 30303
    assert session.available(product_id) == 1


def test_the_payment_of_an_overdue_order_that_is_not_swept_can_start(session: Session) -> None:
    """It can also still be paid: the stored status decides."""
    session.stand_at(str(START_S))
    order_id = session.create_order(session.create_product(stock=1))
    session.stand_at(str(START_S + 900))
    session.call("start_payment", order_id)
    session.call("expire_due", 1000)
    assert session.status_of("order", order_id) == "pending"


def test_only_the_payment_of_a_pending_order_can_start(session: Session) -> None:
    product_id = session.create_product(stock=3)
    paid, cancelled, started = (session.create_order(product_id) for _ in range(3))
    session.call("apply_payment", "before the start", paid, "success")
    session.call("cancel_order", cancelled)
    assert session.errno("start_payment", paid) == 30302
    assert session.errno("start_payment", cancelled) == 30303
    session.call("start_payment", started)
    session.call("apply_payment", "after the start", started, "failure")
    assert session.errno("start_payment", started) == 30303
    assert session.available(product_id) == 2
