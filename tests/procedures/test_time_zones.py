"""A time means the same whatever the time zones of the server and of the session are."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.deploy import OWNER, ROOT, deploy
from stack.mysql import MysqlUrl
from stack.programs import find_mysql_client
from stack.serve import _option_file
from stack.servers import Servers
from tests.contract.accounts import PUBLIC_PROCEDURES
from tests.support import Session, new_database

START_S = 2_000_000_000
DAY_S = 86_400
VIEWS = sorted(path.stem for path in (ROOT / "sql" / "views").glob("*.sql"))
TABLES = (
    "products",
    "stock",
    "holds",
    "orders",
    "payment_events",
    "payment_reviews",
    "idempotency_keys",
    "stock_adjustments",
    "sweeps",
    "customer_units",
)
NEVER_FILLED = {"customer_units"}  # it has no time
HOLDS = ",".join(f'{{"product_id":1,"quantity":1,"idempotency_key":"hold {number}"}}' for number in range(2, 9))
EVENTS = ",".join(
    f'{{"idempotency_key":"payment {key}","order_id":9,"status":"{status}","payment_id":"pay-9","amount":"99.00"}}'
    for key, status in ((9, "success"), (10, "success"), (11, "disputed"))
)

# Every public procedure, in the order of a sale: seconds from its beginning, name, arguments.
SALE: list[tuple[int, str, tuple[Any, ...]]] = [
    (0, "create_product", ("Limited Edition Item", "100.00", 50)),
    (0, "change_product", (1, "Limited Edition Item", "99.00", 5)),
    (0, "change_setting", ("hold_ttl_s", 120)),
    (0, "set_selling_rules", (1, None, None, None)),
    (0, "adjust_stock", (1, 5, "restock")),
    (0, "create_hold", (1, 2, "hold 1")),
    (0, "create_holds", (f"[{HOLDS}]",)),
    (1, "extend_hold", (1,)),
    (1, "extend_holds", ("[2]",)),
    (2, "create_order", (1, "order 1")),
    (2, "create_orders", ('[{"hold_id":2,"idempotency_key":"order 2"},{"hold_id":3,"idempotency_key":"order 3"}]',)),
    (3, "start_payment", (1,)),
    (3, "start_payments", ("[2]",)),
    (4, "apply_payment", ("payment 1", 1, "success")),
    (4, "apply_payments", (f"[{EVENTS}]",)),
    (5, "cancel_order", (2,)),
    (5, "cancel_orders", ("[3]",)),
    (6, "apply_payment", ("payment 2", 2, "success")),
    (7, "settle_refund", ("payment 2",)),
    (7, "settle_review", ("payment 11",)),
    (8, "release_hold", (4,)),
    (8, "release_holds", ("[5]",)),
    (9, "get_hold", (1,)),
    (9, "get_holds", ("[1,4,6]",)),
    (9, "get_order", (1,)),
    (9, "get_orders", ("[1,2]",)),
    (9, "get_payment", ("payment 2",)),
    (9, "get_product", (1,)),
    (9, "get_products", ("[1]",)),
    (9, "list_products", (0, 10)),
    (122, "get_hold", (6,)),
    (122, "get_health", ()),
    (122, "expire_due", (10,)),
    (122, "report_sweeps", (10,)),
    (123, "check_stock", ()),
    (123, "record_stock_check", (0,)),
    (123, "get_metrics", ()),
    (2 * DAY_S, "settle_waiting_payments", (10,)),
    (60 * DAY_S, "purge_history", (10,)),
]


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


def sell(session: Session, time_zone: str) -> list[Any]:
    """Sell in an empty database, in a session of that time zone; returns each answer, and all rows after it."""
    for table in TABLES:
        session.execute(f"TRUNCATE TABLE {table}")
    session.execute("UPDATE measurements SET holds_expired = 0, orders_expired = 0, stock_checked_at = NULL")
    session.execute("SET time_zone = %s", time_zone)
    seen: list[Any] = []
    for seconds, procedure, arguments in SALE:
        session.stand_at(str(START_S + seconds))
        seen.append((procedure, session.call_all(procedure, *arguments)))
        seen += [(name, session.query(f"SELECT * FROM {name}")) for name in (*VIEWS, *TABLES, "measurements")]
    session.travel(0)
    return seen


def test_a_sale_calls_every_public_procedure() -> None:
    assert {procedure for _, procedure, _ in SALE} == set(PUBLIC_PROCEDURES)


def test_every_procedure_answers_and_stores_the_same_in_a_session_of_any_time_zone(
    session: Session, london: str
) -> None:
    expected = sell(session, "+00:00")
    assert {name for name, rows in expected if rows} >= {*VIEWS, *TABLES} - NEVER_FILLED
    for time_zone in ("+05:30", "-08:00", london):
        assert sell(session, time_zone) == expected


def event_time_zone(session: Session) -> str:
    """The time zone in which MySQL counts the EVENT's seconds."""
    (row,) = session.query(
        "SELECT time_zone AS zone FROM information_schema.events"
        " WHERE event_schema = DATABASE() AND event_name = 'sweep_due'"
    )
    zone: str = row["zone"]
    return zone


@pytest.mark.usefixtures("server_time_zone")
def test_a_deploy_on_a_server_of_another_time_zone_counts_in_utc(servers: Servers) -> None:
    """The migrations' own tables keep times in TIMESTAMP columns, which MySQL converts."""
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
    option_file.write_text(_option_file(MysqlUrl.parse(database_url)))
    client = [*find_mysql_client(), f"--defaults-file={option_file}", "-N", "-e", "SELECT @@session.time_zone"]
    assert subprocess.run(client, capture_output=True, text=True, check=True).stdout == "+00:00\n"
