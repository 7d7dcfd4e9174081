"""rotate_event_secret: for a day both secrets sign."""

from tests.deliveries import create_receiver
from tests.support import Row, Session

DAY_S = 86_400


def secrets_of(session: Session, receiver_id: int) -> Row:
    """The receiver's row of list_event_receivers."""
    (row,) = [row for row in session.call("list_event_receivers") if row["receiver_id"] == receiver_id]
    return row


def test_the_previous_secret_signs_for_a_day(session: Session) -> None:
    receiver_id = create_receiver(session)
    first = secrets_of(session, receiver_id)
    assert first["previous_secret"] is None
    (rotated,) = session.call("rotate_event_secret", receiver_id)
    both = secrets_of(session, receiver_id)
    assert (both["secret"], both["previous_secret"]) == (rotated["secret"], first["secret"])
    assert rotated["secret"] != first["secret"]
    session.travel(DAY_S + 1)
    assert secrets_of(session, receiver_id) == {**both, "previous_secret": None}
