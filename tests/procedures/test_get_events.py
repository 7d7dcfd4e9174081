"""get_events: every event once, by positions that have no gaps and never appear behind a reader."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tests.support import NOBODYS_ID, Row, Session, eventually, is_waited_for

DAY_S = 86_400
TTL_S = 30 * DAY_S


def last_position(session: Session) -> int:
    """The position of the last event so far."""
    position: int = session.call_all("list_events", "", 2**63 - 1, 1)[1][0]["last_position"]
    return position


def columns_of(event: Row) -> dict[str, Any]:
    """The columns of an event that are not NULL, without its position and time."""
    shared = ("position", "occurred_at")
    return {name: value for name, value in event.items() if name not in shared and value is not None}


def test_each_type_of_event_has_its_columns(session: Session) -> None:
    start = last_position(session)
    product_id = session.create_product(stock=9)
    holds = [session.create_hold(product_id) for _ in range(3)]
    (order,) = session.batch("create_orders", [{"hold_ids": holds[1::-1]}])
    order_id = order["order_id"]
    success = {"order_id": order_id, "status": "success"}
    session.batch("apply_payments", [{**success, "idempotency_key": "first"}])
    session.batch("apply_payments", [{**success, "idempotency_key": "2", "payment_id": "pay-ä", "amount": "9.50"}])
    session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() WHERE id = %s", holds[2])
    session.call("expire_due", 10)
    refunds = [
        *session.batch(
            "refund_orders",
            [{"order_id": order_id, "restock": False, "lines": [{"hold_id": holds[0], "quantity": 1}]}],
        ),
        *session.call("refund_order", order_id, True, None),
    ]
    events = session.call("get_events", start, 10)
    assert [event["position"] for event in events] == [start + number for number in range(1, 7)]
    assert list(events[0]) == [
        *("position", "type", "order_id", "hold_ids", "occurred_at"),
        *("reason", "amount", "payment_id", "refund_id", "status"),
    ]
    of_order = {"order_id": order_id, "hold_ids": f"[{holds[0]}, {holds[1]}]"}
    assert [columns_of(event) for event in events] == [
        {"type": "order.created", **of_order},
        {"type": "order.paid", **of_order},
        {"type": "refund.due", **of_order, "reason": "paid_twice", "amount": Decimal("9.50"), "payment_id": "pay-ä"},
        {"type": "hold.expired", "hold_ids": f"[{holds[2]}]"},
        *(
            {"type": "order.refunded", **of_order, **{name: refund[name] for name in ("refund_id", "amount", "status")}}
            for refund in refunds
        ),
    ]
    assert [refund["status"] for refund in refunds] == ["paid", "refunded"]
    (now,) = session.query("SELECT UTC_TIMESTAMP() AS moment")
    assert {now["moment"] - event["occurred_at"] < timedelta(minutes=1) for event in events} == {True}


def test_an_orphaned_payment_is_a_refund_due_of_nobody(session: Session) -> None:
    start = last_position(session)
    payment = {"order_id": NOBODYS_ID, "status": "success", "payment_id": "pay-1", "amount": "7.00"}
    failure = {"order_id": NOBODYS_ID, "status": "failure", "idempotency_key": "orphaned failure"}
    repeated = [{**payment, "idempotency_key": key} for key in ("orphan", "the same money")]
    session.batch("apply_payments", [failure, *repeated])
    session.travel(DAY_S + 1)
    session.call("settle_waiting_payments", 10)
    (event,) = session.call("get_events", start, 10)
    assert columns_of(event) == {
        "type": "refund.due",
        "order_id": NOBODYS_ID,
        "hold_ids": "[]",
        "reason": "orphaned",
        "amount": Decimal("7.00"),
        "payment_id": "pay-1",
    }
    assert session.call_all("list_events", "web", start, 10)[0] == []


def test_a_page_ends_at_the_limit_and_the_next_one_goes_on(session: Session) -> None:
    start = last_position(session)
    product_id = session.create_product(stock=9)
    orders = [session.create_order(product_id) for _ in range(5)]
    pages = [session.call("get_events", start + after, 2) for after in (0, 2, 4, 5, 100)]
    assert [[event["order_id"] for event in page] for page in pages] == [orders[:2], orders[2:4], orders[4:], [], []]


def test_an_event_that_commits_late_gets_a_later_position(session: Session, connect: Callable[[], Session]) -> None:
    start = last_position(session)
    late_id, early_id = (session.create_order(session.create_product(stock=1)) for _ in range(2))
    holder, late, reader = connect(), connect(), connect()
    product_id = session.call("get_order", late_id)[0]["product_id"]
    holder.execute("START TRANSACTION")
    holder.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)
    with ThreadPoolExecutor(1) as pool:
        cancellation = pool.submit(late.call, "cancel_order", late_id)  # its event is written, then it waits
        eventually(lambda: is_waited_for(session, holder))
        session.call("cancel_order", early_id)
        seen = reader.call("get_events", start, 10)
        assert [event["order_id"] for event in seen] == [late_id, early_id, early_id]
        holder.execute("ROLLBACK")
        cancellation.result()
    (event,) = reader.call("get_events", seen[-1]["position"], 10)
    assert (event["order_id"], event["position"]) == (late_id, seen[-1]["position"] + 1)
    (ids,) = session.query(
        "SELECT MAX(IF(order_id = %s, id, NULL)) < MAX(IF(order_id = %s, id, NULL)) AS is_lower FROM events",
        late_id,
        early_id,
    )
    assert ids["is_lower"] == 1


def test_a_reader_that_comes_too_late_is_told(session: Session) -> None:
    session.create_order(session.create_product(stock=1))
    purged = last_position(session)
    session.travel(TTL_S + 2 * DAY_S)  # another test wrote an event a day ahead
    order_id = session.create_order(session.create_product(stock=1))
    session.call("purge_history", 10_000)
    assert session.errno("get_events", purged - 1, 10) == 30501
    for after in (0, purged):
        assert [event["order_id"] for event in session.call("get_events", after, 10)] == [order_id]
