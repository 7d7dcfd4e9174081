"""retry_event: an event that was set aside is delivered again; one that waits goes now, unless others go first."""

from tests.deliveries import create_receiver, deliver, state_of
from tests.support import Session

DAY_S = 86_400


def test_an_event_that_was_set_aside_is_delivered_again(session: Session) -> None:
    receiver_id = create_receiver(session, "order.created")
    position = state_of(session, receiver_id)["position"] + 1
    order_id = session.create_order(session.create_product(stock=1))
    deliver(session, receiver_id, failing={order_id})
    session.travel(3 * DAY_S + 1)
    deliver(session, receiver_id, failing={order_id})
    assert state_of(session, receiver_id)["events_set_aside"] == 1
    retried = {"receiver_id": receiver_id, "position": position}
    assert session.call("retry_event", receiver_id, position) == [{**retried, "replayed": 0}]
    assert session.call("retry_event", receiver_id, position) == [{**retried, "replayed": 1}]
    assert deliver(session, receiver_id) == [order_id]
    assert session.errno("retry_event", receiver_id, position) == 30503


def test_an_event_that_waits_for_an_earlier_one_of_its_order_goes_on_waiting(session: Session) -> None:
    receiver_id = create_receiver(session)
    position = state_of(session, receiver_id)["position"] + 1
    order_id = session.create_paid_order(session.create_product(stock=1))
    deliver(session, receiver_id, failing={order_id})
    session.call("retry_event", receiver_id, position + 1)
    assert deliver(session, receiver_id) == []
    session.call("retry_event", receiver_id, position)
    assert [deliver(session, receiver_id) for _ in range(3)] == [[order_id], [order_id], []]
