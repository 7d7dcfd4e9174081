"""A deploy installs exactly the routines, views and the EVENT of the files, owned by the locked account."""

import re

import pytest

from docs.generate.routines import ROUTINES
from service.deploy import ROOT, read_routines
from tests.support import Session


def test_the_routines_installed_are_the_files(session: Session) -> None:
    rows = session.query(
        "SELECT routine_name AS name, definer, security_type, routine_comment AS comment_ "
        "FROM information_schema.routines WHERE routine_schema = DATABASE()"
    )
    assert sorted(row["name"] for row in rows) == sorted(ROUTINES)
    assert {(row["DEFINER"], row["SECURITY_TYPE"]) for row in rows} == {("checkout_owner@localhost", "DEFINER")}
    for row in rows:
        assert row["comment_"] == ROUTINES[row["name"]].purpose.replace("`", "")


def test_the_views_installed_are_the_files(session: Session) -> None:
    rows = session.query(
        "SELECT table_name AS name, definer, security_type "
        "FROM information_schema.views WHERE table_schema = DATABASE()"
    )
    assert {row["name"] for row in rows} == {path.stem for path in (ROOT / "sql" / "views").glob("*.sql")}
    assert {(row["DEFINER"], row["SECURITY_TYPE"]) for row in rows} == {("checkout_owner@localhost", "DEFINER")}


def test_the_event_runs_every_second(session: Session) -> None:
    rows = session.query(
        "SELECT event_name, definer, interval_value, interval_field, on_completion "
        "FROM information_schema.events WHERE event_schema = DATABASE()"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("sweep_due", "checkout_owner@localhost", "1", "SECOND", "NOT PRESERVE")
    ]


def test_the_hash_of_every_installed_text_is_stored(session: Session) -> None:
    installed = session.query("SELECT name, sha256 FROM installed_objects")
    assert {row["name"]: row["sha256"] for row in installed} == {
        routine.path: routine.sha256 for routine in read_routines()
    }


def test_a_view_is_installed_before_the_routines_that_name_it() -> None:
    """Otherwise a new routine meets, for a moment of a deploy, a view that lacks the columns it reads."""
    installed: set[str] = set()
    routines = read_routines()
    views = {routine.name for routine in routines if routine.kind == "VIEW"}
    for routine in routines:
        statement = re.sub(r"--.*", "", routine.text)
        installed.add(routine.name)
        assert views.intersection(re.findall(r"\w+", statement)) <= installed, routine.name


@pytest.mark.parametrize("setting", ["sql_mode", "character_set_client", "collation_connection", "database_collation"])
def test_every_routine_was_created_under_the_same_session_settings(session: Session, setting: str) -> None:
    rows = session.query(
        f"SELECT DISTINCT {setting} AS value FROM information_schema.routines WHERE routine_schema = DATABASE()"
    )
    assert len(rows) == 1
    if setting == "sql_mode":
        assert "STRICT_TRANS_TABLES" in rows[0]["value"]
    if setting == "database_collation":
        assert rows[0]["value"] == "utf8mb4_0900_bin"
