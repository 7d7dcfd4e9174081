"""list_event_receivers: only cron's account may read the secrets, of active receivers."""

from tests.deliveries import create_receiver
from tests.support import Session


def test_paused_receivers_are_not_listed(session: Session) -> None:
    active, paused = create_receiver(session), create_receiver(session)
    session.call("pause_event_receiver", paused)
    rows = session.call("list_event_receivers")
    assert [row["receiver_id"] for row in rows if row["receiver_id"] in (active, paused)] == [active]
    assert list(rows[0]) == ["receiver_id", "url", "secret", "previous_secret"]


def test_only_cron_may_read_secrets(session: Session) -> None:
    rows = session.query(
        "SELECT grantee.user FROM mysql.procs_priv AS grantee"
        " WHERE grantee.db = DATABASE() AND grantee.routine_name = 'list_event_receivers'"
    )
    assert rows == [{"user": "checkout_cron"}]
