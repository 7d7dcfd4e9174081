"""list_deliveries: new events and due retries, in order for each order, and what is not reported comes again."""

from tests.deliveries import create_receiver, deliver, next_batch, state_of
from tests.support import Session

DAY_S = 86_400


def test_a_batch_that_was_not_reported_is_read_again(session: Session) -> None:
    receiver_id = create_receiver(session)
    session.create_paid_order(session.create_product(stock=1))
    first = next_batch(session, receiver_id)
    assert [event["type"] for event in first[0]] == ["order.created", "order.paid"]
    assert next_batch(session, receiver_id) == first
    assert list(first[0][0]) == list(session.call("get_events", 0, 1)[0])


def test_a_batch_considers_as_many_positions_as_its_limit(session: Session) -> None:
    receiver_id = create_receiver(session, "order.paid")
    start = state_of(session, receiver_id)["position"]
    orders = [session.create_paid_order(session.create_product(stock=1)) for _ in range(2)]
    events, through = next_batch(session, receiver_id, 3)
    assert ([event["order_id"] for event in events], through) == (orders[:1], start + 3)
    session.call("report_deliveries", receiver_id, through, f'[{{"position": {events[0]["position"]}, "status": 200}}]')
    events, through = next_batch(session, receiver_id, 3)
    assert ([event["order_id"] for event in events], through) == ([orders[1]], start + 4)


def test_nothing_to_send_and_nothing_to_report_is_told(session: Session) -> None:
    receiver_id = create_receiver(session)
    assert next_batch(session, receiver_id) == ([], None)
    assert session.errno("list_deliveries", receiver_id, 501) == 30001


def test_a_down_receiver_gets_small_batches_after_pauses(session: Session) -> None:
    receiver_id = create_receiver(session, "order.created")
    product_id = session.create_product(stock=100)
    orders = [session.create_order(product_id) for _ in range(40)]
    assert len(deliver(session, receiver_id, failing=orders)) == 40
    assert state_of(session, receiver_id)["state"] == "failing"
    assert next_batch(session, receiver_id) == ([], None)
    orders += [session.create_order(product_id) for _ in range(40)]
    session.travel(3600)
    assert len(deliver(session, receiver_id, failing=orders)) == 20  # 10 of each kind
    session.travel(7200)
    assert len(deliver(session, receiver_id)) == 20
    assert state_of(session, receiver_id)["state"] == "active"
    while deliver(session, receiver_id):
        pass
    state = state_of(session, receiver_id)
    assert (state["events_behind"], state["events_retried"], state["lag_s"]) == (0, 0, 0)


def test_purged_events_are_not_delivered(session: Session) -> None:
    receiver_id = create_receiver(session)
    order_id = session.create_order(session.create_product(stock=1))
    deliver(session, receiver_id, failing={order_id})
    session.call("cancel_order", order_id)
    session.travel(31 * DAY_S)
    assert state_of(session, receiver_id)["lag_s"] >= 31 * DAY_S
    later_id = session.create_order(session.create_product(stock=1))
    session.call("purge_history", 10_000)
    assert session.query("SELECT * FROM event_retries WHERE receiver_id = %s", receiver_id) == []
    assert deliver(session, receiver_id) == [later_id]
