"""resume_event_receiver: a receiver goes on where it stopped."""

from tests.deliveries import create_receiver, deliver, state_of
from tests.support import Session


def test_a_receiver_that_answered_410_goes_on_after_it_is_resumed(session: Session) -> None:
    receiver_id = create_receiver(session)
    orders = [session.create_order(session.create_product(stock=1)) for _ in range(2)]
    deliver(session, receiver_id, failing=orders[:1], status=410)
    assert state_of(session, receiver_id)["state"] == "gone"
    session.travel(10)
    assert deliver(session, receiver_id) == []
    assert session.call("resume_event_receiver", receiver_id) == [{"receiver_id": receiver_id, "state": "active"}]
    assert deliver(session, receiver_id) == orders[:1]
    assert state_of(session, receiver_id)["events_retried"] == 0
