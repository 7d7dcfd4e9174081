"""enable_sweep: the EVENT that replication disabled runs again, one that an operator disabled does not."""

from collections.abc import Callable, Iterator

import pytest

from service.deploy import OWNER
from tests.support import Session

EVENT = (
    "SELECT status AS status, definer AS definer, time_zone AS time_zone, sql_mode AS sql_mode, starts AS starts"
    " FROM information_schema.events WHERE event_schema = DATABASE() AND event_name = 'sweep_due'"
)


@pytest.fixture
def alter_event(session: Session) -> Iterator[Callable[[str], None]]:
    """A function that alters the EVENT, which is disabled again after the test."""

    def alter(state: str) -> None:
        session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due {state}")

    yield alter
    alter("DISABLE")


@pytest.mark.usefixtures("server_time_zone")
@pytest.mark.parametrize("zone", ["+00:00", "+01:00"])
def test_an_event_that_replication_disabled_is_enabled_and_otherwise_unchanged(
    session: Session, alter_event: Callable[[str], None], zone: str
) -> None:
    alter_event("DISABLE ON REPLICA")
    (before,) = session.query(EVENT)
    assert before["status"] != "ENABLED"
    session.execute("SET time_zone = %s", zone)
    assert session.call("enable_sweep") == [{"status": "ENABLED"}]
    session.execute("SET time_zone = '+00:00'")
    assert session.query(EVENT) == [{**before, "status": "ENABLED"}]


def test_an_event_that_an_operator_disabled_stays_disabled(session: Session) -> None:
    assert session.call("enable_sweep") == [{"status": "DISABLED"}]
    assert session.query(EVENT)[0]["status"] == "DISABLED"


def test_an_enabled_event_stays_enabled(session: Session, alter_event: Callable[[str], None]) -> None:
    alter_event("ENABLE")
    assert session.call("enable_sweep") == [{"status": "ENABLED"}]
