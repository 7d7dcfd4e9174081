"""change_setting: change one of the settings."""

from collections.abc import Iterator

import pytest

from tests.support import Session


@pytest.fixture(autouse=True)
def _settings_are_put_back(session: Session) -> Iterator[None]:
    before = session.query("SELECT name, value FROM settings")
    yield
    for row in before:
        session.call("change_setting", row["name"], row["value"])


def test_a_setting_is_changed(session: Session) -> None:
    (row,) = session.call("change_setting", "hold_ttl_s", 60)
    assert list(row) == ["name", "value", "minimum", "maximum", "description"]
    assert (row["name"], row["value"]) == ("hold_ttl_s", 60)
    assert session.query("SELECT value FROM settings WHERE name = 'hold_ttl_s'") == [{"value": 60}]


def test_the_defaults_are_as_documented(session: Session) -> None:
    rows = session.query("SELECT name, value FROM settings")
    assert {row["name"]: row["value"] for row in rows} == {
        "hold_ttl_s": 120,
        "hold_extension_s": 60,
        "payment_ttl_s": 900,
        "payment_started_ttl_s": 1800,
        "payment_window_maximum_s": 1800,
        "client_key_ttl_s": 86_400,
        "generated_key_ttl_s": 600,
        "waiting_payment_ttl_s": 86_400,
        "history_ttl_s": 2_592_000,
        "event_ttl_s": 2_592_000,
    }


def test_a_setting_accepts_its_bounds_and_nothing_beyond(session: Session) -> None:
    for row in session.query("SELECT name, minimum, maximum FROM settings"):
        for bound, step in ((row["minimum"], -1), (row["maximum"], 1)):
            assert session.call("change_setting", row["name"], bound)[0]["value"] == bound
            assert session.errno("change_setting", row["name"], bound + step) == 30001


@pytest.mark.parametrize("name", ["nothing", "HOLD_TTL_S"])
def test_an_unknown_name_is_invalid(session: Session, name: str) -> None:
    assert session.errno("change_setting", name, 60) == 30001
