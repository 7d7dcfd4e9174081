"""Times are UTC, whatever the time zones of the server and of the session are."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.generate.sale import DAY_S, SALE, START_S
from service.deploy import OWNER, ROOT, deploy
from service.mysql_url import MysqlUrl
from stack.programs import find_mysql_client
from stack.serve import client_option_file
from stack.servers import Servers
from tests.procedures.arguments import TABLES
from tests.support import Row, Session, new_database

VIEWS = sorted(path.stem for path in (ROOT / "sql" / "views").glob("*.sql"))
FILLED_BY_A_DEPLOY = {
    *("event_counter", "installed_objects", "measurements", "payment_statuses", "schema_release", "settings")
}
SALE_TABLES = [table for table in TABLES if table not in FILLED_BY_A_DEPLOY]
# set_selling_rules refuses a time in a session whose zone is not UTC.
SALE_WITHOUT_TIMES = [(seconds, statement) for seconds, statement in SALE if "'2030-" not in statement]
NEVER_FILLED = {"customer_units"}  # it has no time


@pytest.fixture(scope="module")
def london(servers: Servers) -> Iterator[str]:
    """A time zone that goes back from +01:00 to +00:00 five seconds after START_S."""
    administrator = Session(servers.mysql_url)
    administrator.execute("INSERT INTO mysql.time_zone (Use_leap_seconds) VALUES ('N')")
    (row,) = administrator.query("SELECT LAST_INSERT_ID() AS id")
    rows = [
        ("time_zone_name", "'Test/London in autumn', {id}"),
        ("time_zone_transition_type", "{id}, 0, 3600, 1, 'BST'"),
        ("time_zone_transition_type", "{id}, 1, 0, 0, 'GMT'"),
        ("time_zone_transition", f"{{id}}, {START_S - DAY_S}, 0"),
        ("time_zone_transition", f"{{id}}, {START_S + 5}, 1"),
    ]
    for table, values in rows:
        administrator.execute(f"INSERT INTO mysql.{table} VALUES ({values.format(**row)})")
    yield "Test/London in autumn"
    for table in ("time_zone", *{table for table, _ in rows}):
        administrator.execute(f"DELETE FROM mysql.{table} WHERE time_zone_id = %s", row["id"])
    administrator.close()


def without_secrets(rows: list[Row]) -> list[Row]:
    """Rows without the secrets of receivers of events, which are made of random bytes."""
    return [{name: value for name, value in row.items() if not str(value).startswith("whsec_")} for row in rows]


def sell(session: Session, time_zone: str) -> list[Any]:
    """Run the sale in an empty database and a session of that time zone; returns each result, and all rows after it."""
    for table in SALE_TABLES:
        session.execute(f"TRUNCATE TABLE {table}")
    session.execute("UPDATE measurements SET holds_expired = 0, orders_expired = 0, stock_checked_at = NULL")
    session.execute("UPDATE event_counter SET last_position = 0, purged_position = 0")
    session.execute("SET time_zone = %s", time_zone)
    seen: list[Any] = []
    for seconds, statement in SALE_WITHOUT_TIMES:
        session.stand_at(str(START_S + seconds))
        seen.append((statement, [without_secrets(rows) for rows in session.execute(statement)]))
        tables = (*VIEWS, *SALE_TABLES, "measurements")
        seen += [(name, without_secrets(session.query(f"SELECT * FROM {name}"))) for name in tables]
    session.travel(0)
    return seen


def test_every_procedure_returns_and_stores_the_same_in_any_time_zone(session: Session, london: str) -> None:
    expected = sell(session, "+00:00")
    assert {name for name, rows in expected if rows} >= {*VIEWS, *SALE_TABLES} - NEVER_FILLED
    for time_zone in ("+05:30", "-08:00", london):
        assert sell(session, time_zone) == expected


def event_time_zone(session: Session) -> str:
    """The time zone of the EVENT's schedule."""
    (row,) = session.query(
        "SELECT time_zone AS zone FROM information_schema.events"
        " WHERE event_schema = DATABASE() AND event_name = 'sweep_due'"
    )
    zone: str = row["zone"]
    return zone


@pytest.mark.usefixtures("server_time_zone")
def test_a_deploy_on_a_server_of_another_time_zone_uses_utc(servers: Servers) -> None:
    """The tables of yoyo store times in TIMESTAMP columns, which MySQL converts."""
    with new_database(servers.mysql_url, "tests_time_zones_deploy") as url:
        session = Session(url)
        assert event_time_zone(session) == "+00:00"
        (row,) = session.query(
            "SELECT MAX(ABS(TIMESTAMPDIFF(MINUTE, created_at_utc, UTC_TIMESTAMP()))) AS off_by_min FROM _yoyo_log"
        )
        assert row["off_by_min"] < 30
        session.close()


def test_a_deploy_replaces_an_event_of_another_time_zone(session: Session, database_url: str) -> None:
    session.execute("SET time_zone = '+01:00'")
    session.execute(
        f"ALTER DEFINER = {OWNER} EVENT sweep_due ON SCHEDULE EVERY 1 SECOND STARTS '2026-01-01 00:00:00' DISABLE"
    )
    assert event_time_zone(session) == "+01:00"
    assert " 1 routines, views and events installed" in deploy(database_url)
    assert event_time_zone(session) == "+00:00"
    session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due DISABLE")
    assert " 0 routines, views and events installed" in deploy(database_url)


@pytest.mark.usefixtures("server_time_zone")
def test_script_mysql_opens_a_session_in_utc(database_url: str, tmp_path: Path) -> None:
    option_file = tmp_path / "operator.cnf"
    option_file.write_text(client_option_file(MysqlUrl.parse(database_url)))
    client = [*find_mysql_client(), f"--defaults-file={option_file}", "-N", "-e", "SELECT @@session.time_zone"]
    assert subprocess.run(client, capture_output=True, text=True, check=True).stdout == "+00:00\n"
