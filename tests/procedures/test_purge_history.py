"""purge_history: delete keys past their time and history that no sale needs, and nothing else."""

import pytest

from tests.support import Row, Session

DAY_S = 86_400
MONTH_S = 31 * DAY_S
TRAVELLED_S = 50_000_000  # later than the events of the other tests


@pytest.fixture(autouse=True)
def _no_history(session: Session) -> None:
    session.sweep_everything()
    session.travel(20_000_000)
    session.call("report_sweeps", 1000)
    session.execute("UPDATE payment_events SET refund_settled_at = UTC_TIMESTAMP()")
    session.travel(40_000_000)
    session.call("purge_history", 10_000)
    session.travel(0)


def purge(session: Session, limit: int = 10_000) -> Row:
    """CALL purge_history; returns its row."""
    return session.call("purge_history", limit)[0]


def exists(session: Session, table: str, row_id: int) -> bool:
    """Whether a row exists."""
    return bool(session.query(f"SELECT 1 FROM {table} WHERE id = %s", row_id))


def test_old_expired_and_released_holds_are_deleted_and_active_ones_kept(session: Session) -> None:
    product_id = session.create_product(stock=9)
    released, expired, active = (session.create_hold(product_id) for _ in range(3))
    session.call("release_hold", released)
    session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() - INTERVAL 1 SECOND WHERE id = %s", expired)
    session.call("expire_due", 1000)
    session.travel(MONTH_S)
    row = purge(session)
    assert list(row) == ["idempotency_keys", "holds", "orders", "payment_events", "sweeps", "events"]
    assert row["holds"] == 2
    assert [exists(session, "holds", hold_id) for hold_id in (released, expired, active)] == [False, False, True]
    assert session.available(product_id) == 8


def test_recent_history_is_kept(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.call("release_hold", session.create_hold(product_id))
    session.call("cancel_order", session.create_order(product_id))
    session.travel(29 * DAY_S)
    assert {**purge(session), "idempotency_keys": 0} == dict.fromkeys(purge(session), 0)


def test_old_cancelled_orders_are_deleted_with_their_lines_holds_and_events(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=9))
    hold_id = session.call("get_order", order_id)[0]["hold_id"]
    for key, status in (("fails", "failure"), ("fails again", "failure")):
        session.call("apply_payment", key, order_id, status)
    session.travel(MONTH_S)
    row = purge(session)
    assert (row["orders"], row["payment_events"]) == (1, 2)
    assert not exists(session, "orders", order_id)
    assert not exists(session, "holds", hold_id)
    assert session.query("SELECT 1 FROM order_lines WHERE order_id = %s", order_id) == []


def test_an_order_that_is_deleted_before_its_key_is_replayed_as_first_answered(session: Session) -> None:
    product_id = session.create_product(stock=9)
    first, second, third = (session.create_hold(product_id) for _ in range(3))
    requests = [
        {"hold_id": first, "idempotency_key": "deleted"},
        {"hold_ids": [third, second], "idempotency_key": "deleted list"},
    ]
    answered = session.batch("create_orders", requests)
    for row in answered:
        session.call("cancel_order", row["order_id"])
    session.execute("UPDATE idempotency_keys SET purge_after = purge_after + INTERVAL 60 DAY WHERE operation = 'order'")
    session.travel(MONTH_S)
    assert purge(session)["orders"] == 2
    expected = [{**row, "replayed": 1, "product_id": None, "quantity": None} for row in answered]
    assert session.batch("create_orders", requests) == expected


def test_paid_orders_are_kept_for_ever_with_their_holds_and_events(session: Session) -> None:
    product_id = session.create_product(stock=9)
    order_id = session.create_order(product_id)
    hold_id = session.call("get_order", order_id)[0]["hold_id"]
    session.call("apply_payment", "for ever", order_id, "success")
    session.travel(20 * MONTH_S)
    row = purge(session)
    assert (row["holds"], row["orders"], row["payment_events"]) == (0, 0, 0)
    assert exists(session, "orders", order_id)
    assert exists(session, "holds", hold_id)
    assert session.call("apply_payment", "for ever", order_id, "success")[0]["replayed"] == 1
    assert session.available(product_id) == 8


def test_pending_orders_are_kept_until_they_are_swept(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=9))
    session.travel(MONTH_S)
    assert purge(session)["orders"] == 0
    session.call("expire_due", 1000)
    assert purge(session)["orders"] == 1
    assert not exists(session, "orders", order_id)


@pytest.mark.parametrize("outcome", ["refund_due", "orphaned"])
def test_an_order_with_a_refund_due_is_kept_until_the_refund_is_settled(session: Session, outcome: str) -> None:
    order_id = session.create_order(session.create_product(stock=9))
    session.call("cancel_order", order_id)
    session.call("apply_payment", f"late {outcome}", order_id, "success")
    session.execute("UPDATE payment_events SET outcome = %s WHERE order_id = %s", outcome, order_id)
    session.travel(MONTH_S)
    assert purge(session)["orders"] == 0
    (refund,) = session.query("SELECT amount FROM refunds_due")
    assert refund["amount"] is not None
    session.call("settle_refund", f"late {outcome}")
    assert purge(session)["orders"] == 1
    assert not exists(session, "orders", order_id)


def test_each_key_is_deleted_after_its_own_lifetime(session: Session) -> None:
    product_id = session.create_product(stock=9)
    (hold,) = session.call("create_hold", product_id, 1, "client's key")
    session.create_hold(product_id)
    session.call("create_order", hold["hold_id"], "client's order")
    session.travel(590)
    assert purge(session)["idempotency_keys"] == 0
    session.travel(610)
    assert purge(session)["idempotency_keys"] == 1
    session.travel(DAY_S - 10)
    assert purge(session)["idempotency_keys"] == 0
    assert session.call("create_hold", product_id, 1, "client's key")[0]["replayed"] == 1
    session.travel(DAY_S + 10)
    assert purge(session)["idempotency_keys"] == 2
    assert session.call("create_hold", product_id, 1, "client's key")[0]["replayed"] == 0


def test_reported_sweeps_are_deleted_and_unreported_ones_kept(session: Session) -> None:
    for number in range(2):
        session.travel(1000 * number)
        session.create_hold(session.create_product(stock=9))
        session.travel(1000 * number + 200)
        session.call("expire_due", 1000)
    session.call("report_sweeps", 1)
    session.travel(2 * MONTH_S)
    assert purge(session)["sweeps"] == 1
    assert len(session.query("SELECT 1 FROM sweeps")) == 1


def test_waiting_events_are_kept(session: Session) -> None:
    session.call("apply_payment", "waits", 10**8, "success")
    session.travel(20 * MONTH_S)
    assert purge(session)["payment_events"] == 0


def test_the_limit_applies_to_each_kind(session: Session) -> None:
    product_id = session.create_product(stock=9)
    for _ in range(3):
        session.call("release_hold", session.create_hold(product_id))
        session.call("cancel_order", session.create_order(product_id))
    session.travel(MONTH_S)
    rows = [purge(session, 2) for _ in range(3)]
    assert [(row["holds"], row["orders"]) for row in rows] == [(2, 2), (1, 1), (0, 0)]
    assert [row["idempotency_keys"] for row in rows] == [2, 2, 2]


def test_old_events_are_deleted_from_the_first_on_and_their_positions_are_not_given_again(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.travel(TRAVELLED_S)
    old = [session.create_order(product_id) for _ in range(3)]
    session.travel(TRAVELLED_S + MONTH_S)
    session.call("cancel_order", old[0])
    assert [purge(session, 2)["events"] for _ in range(3)] == [2, 1, 0]
    (event,) = session.call("get_events", 0, 10)
    assert (event["type"], event["order_id"]) == ("order.cancelled", old[0])
    session.travel(TRAVELLED_S + 2 * MONTH_S)
    assert purge(session)["events"] == 1
    session.create_order(product_id)
    assert session.call("get_events", 0, 10)[0]["position"] == event["position"] + 1
