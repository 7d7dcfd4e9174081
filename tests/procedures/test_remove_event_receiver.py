"""remove_event_receiver: nothing of a receiver is left, and a report that comes late does no harm."""

from tests.deliveries import create_receiver, deliver, next_batch
from tests.support import Session


def test_a_removed_receiver_leaves_no_rows(session: Session) -> None:
    receiver_id = create_receiver(session)
    order_id = session.create_paid_order(session.create_product(stock=1))
    deliver(session, receiver_id, failing={order_id})
    assert session.call("remove_event_receiver", receiver_id) == [{"receiver_id": receiver_id, "events_dropped": 2}]
    late = '[{"position": 1, "status": 500}]'
    assert session.call("report_deliveries", receiver_id, 10**6, late) == []
    assert next_batch(session, receiver_id) == ([], None)
    for table in ("event_receivers", "event_retries"):
        assert session.query(f"SELECT * FROM {table}") == []
