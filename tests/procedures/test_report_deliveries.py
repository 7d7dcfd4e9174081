"""report_deliveries: order for each order, growing pauses, and setting aside after three days."""

import json
from datetime import timedelta

from tests.deliveries import create_receiver, deliver, next_batch, state_of
from tests.support import Row, Session

DAY_S = 86_400


def retries_of(session: Session, receiver_id: int) -> list[Row]:
    """The receiver's rows of undelivered_events."""
    return session.query("SELECT * FROM undelivered_events WHERE receiver_id = %s ORDER BY position", receiver_id)


def test_a_failed_event_holds_back_the_later_ones_of_its_order_only(session: Session) -> None:
    receiver_id = create_receiver(session)
    product_id = session.create_product(stock=9)
    bad, good = session.create_paid_order(product_id), session.create_paid_order(product_id)
    assert deliver(session, receiver_id, failing={bad}) == [bad, good, good]
    session.call("refund_order", bad, True, None)
    session.call("refund_order", good, True, None)
    assert deliver(session, receiver_id) == [good]
    state = state_of(session, receiver_id)
    assert (state["events_behind"], state["events_retried"], state["events_set_aside"]) == (0, 3, 0)
    session.travel(6)
    assert [deliver(session, receiver_id) for _ in range(4)] == [[bad], [bad], [bad], []]
    assert state_of(session, receiver_id)["events_retried"] == 0


def test_an_event_of_a_hold_waits_for_no_other(session: Session) -> None:
    receiver_id = create_receiver(session, "hold.expired")
    product_id = session.create_product(stock=9)
    for _ in range(2):
        session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() WHERE id = %s", session.create_hold(product_id))
    session.call("expire_due", 10)
    deliver(session, receiver_id, failing={None})
    assert [retry["attempts"] for retry in retries_of(session, receiver_id)] == [1, 0]
    assert len(deliver(session, receiver_id)) == 1
    session.travel(6)
    assert len(deliver(session, receiver_id)) == 1


def test_pauses_grow_for_three_days_then_the_event_is_set_aside_and_the_next_gets_its_turn(session: Session) -> None:
    receiver_id = create_receiver(session)
    order_id = session.create_paid_order(session.create_product(stock=1))
    deliver(session, receiver_id, failing={order_id})
    pauses, elapsed_s = [], 0.0
    while (first := retries_of(session, receiver_id)[0])["set_aside_at"] is None:
        assert next_batch(session, receiver_id)[0] == []
        (now,) = session.query("SELECT UTC_TIMESTAMP() AS moment")
        pauses.append(round((first["next_attempt_at"] - now["moment"]) / timedelta(seconds=1)))
        elapsed_s += pauses[-1] + 2
        session.travel(elapsed_s)
        assert deliver(session, receiver_id, failing={order_id}) == [order_id]
    assert [round(pause / 5) for pause in pauses[:7]] == [1, 3, 9, 27, 81, 243, 729]
    assert max(pauses) <= 3646
    assert 3 * DAY_S <= elapsed_s <= 3 * DAY_S + 3700
    assert (first["attempts"], first["failure"], first["next_attempt_at"]) == (len(pauses) + 1, "status 500", None)
    assert deliver(session, receiver_id, failing={order_id}) == [order_id]
    assert [retry["set_aside_at"] is not None for retry in retries_of(session, receiver_id)] == [True, True]
    session.call("refund_order", order_id, True, None)
    assert deliver(session, receiver_id) == [order_id]
    state = state_of(session, receiver_id)
    assert (state["events_retried"], state["events_set_aside"], state["lag_s"]) == (0, 2, 0)


def test_events_that_were_not_sent_and_events_without_an_answer_come_again(session: Session) -> None:
    receiver_id = create_receiver(session)
    product_id = session.create_product(stock=9)
    orders = [session.create_order(product_id) for _ in range(3)]
    events, through = next_batch(session, receiver_id)
    failure = {"position": events[0]["position"], "failure": "TimeoutError"}
    (row,) = session.call("report_deliveries", receiver_id, through, json.dumps([failure]))
    assert row == {"accepted": 0, "failed": 1, "set_aside": 0, "state": "active"}
    assert deliver(session, receiver_id) == orders[1:]
    (retry,) = retries_of(session, receiver_id)
    assert (retry["order_id"], retry["attempts"], retry["failure"]) == (orders[0], 1, "TimeoutError")


def test_a_repeated_report_changes_nothing_that_was_accepted(session: Session) -> None:
    receiver_id = create_receiver(session)
    session.create_order(session.create_product(stock=1))
    events, through = next_batch(session, receiver_id)
    results = json.dumps([{"position": event["position"], "status": 200} for event in events])
    rows = [session.call("report_deliveries", receiver_id, through, results) for _ in range(2)]
    assert rows == [[{"accepted": 1, "failed": 0, "set_aside": 0, "state": "active"}]] * 2
    assert retries_of(session, receiver_id) == []
    assert session.errno("report_deliveries", receiver_id, through, "{}") == 30001
