"""pause_event_receiver: a paused receiver gets nothing, and its events wait."""

from tests.deliveries import create_receiver, deliver, next_batch, state_of
from tests.support import Session


def test_a_paused_receiver_gets_nothing(session: Session) -> None:
    receiver_id = create_receiver(session)
    order_id = session.create_order(session.create_product(stock=1))
    other_id = session.create_order(session.create_product(stock=1))
    deliver(session, receiver_id, failing={order_id})
    assert session.call("pause_event_receiver", receiver_id) == [{"receiver_id": receiver_id, "state": "paused"}]
    session.call("cancel_order", other_id)
    session.travel(10)
    assert next_batch(session, receiver_id) == ([], None)
    state = state_of(session, receiver_id)
    assert (state["state"], state["events_behind"], state["events_retried"]) == ("paused", 1, 1)
