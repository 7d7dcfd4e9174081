"""Accounts have exactly the listed privileges, and MySQL refuses the service's account everything else."""

import re
from collections.abc import Iterator

import pytest

from docs.generate.accounts import PUBLIC_PROCEDURES, procedures_of
from docs.generate.routines import ROUTINES
from service.deploy import ROOT
from service.mysql_url import MysqlUrl
from tests.support import PASSWORDS, Session

APP = {
    "apply_payments",
    "cancel_orders",
    "create_holds",
    "create_orders",
    "enable_sweep",
    "extend_holds",
    "get_health",
    "get_holds",
    "get_metrics",
    "get_orders",
    "get_products",
    "list_events",
    "list_orders",
    "list_products",
    "reduce_holds",
    "refund_orders",
    "release_holds",
    "start_payments",
}
CRON = {
    "check_stock",
    "enable_sweep",
    "expire_due",
    "get_products",
    "list_deliveries",
    "list_event_receivers",
    "purge_history",
    "record_stock_check",
    "report_deliveries",
    "report_sweeps",
    "settle_waiting_payments",
}
OPERATOR = {
    "adjust_stock",
    "apply_payment",
    "apply_payments",
    "archive_product",
    "cancel_order",
    "cancel_orders",
    "change_product",
    "change_setting",
    "check_stock",
    "create_event_receiver",
    "create_hold",
    "create_holds",
    "create_order",
    "create_orders",
    "create_product",
    "enable_sweep",
    "expire_due",
    "extend_hold",
    "extend_holds",
    "get_events",
    "get_health",
    "get_hold",
    "get_holds",
    "get_metrics",
    "get_order",
    "get_orders",
    "get_payment",
    "get_product",
    "get_products",
    "list_events",
    "list_orders",
    "list_products",
    "pause_event_receiver",
    "purge_history",
    "record_stock_check",
    "reduce_hold",
    "reduce_holds",
    "refund_order",
    "refund_orders",
    "release_hold",
    "release_holds",
    "remove_event_receiver",
    "report_sweeps",
    "restore_product",
    "resume_event_receiver",
    "retry_event",
    "rotate_event_secret",
    "set_selling_rules",
    "settle_refund",
    "settle_review",
    "settle_waiting_payments",
    "start_payment",
    "start_payments",
}
OPERATOR_READS = {
    "active_holds",
    "event_deliveries",
    "payment_statuses",
    "payments_to_review",
    "pending_orders",
    "refunded_lines",
    "refunds_due",
    "sales_per_minute",
    "settings",
    "stock_adjustments",
    "stock_levels",
    "undelivered_events",
    "waiting_payments",
}

TABLE_DENIED, ROUTINE_DENIED, DATABASE_DENIED = 1142, 1370, 1044


@pytest.fixture
def database(database_url: str) -> str:
    """The name of the file's database."""
    return MysqlUrl.parse(database_url).database


@pytest.fixture
def app(database_url: str) -> Iterator[Session]:
    """A session of the service's account."""
    account = "checkout_app"
    session = Session(str(MysqlUrl.parse(database_url).for_account(account, PASSWORDS[account])))
    yield session
    session.close()


def grants(session: Session, account: str, database: str) -> set[str]:
    """SHOW GRANTS of an account, without grants on databases of other tests."""
    rows = session.query(f"SHOW GRANTS FOR {account}")
    shown = {grant for row in rows for grant in row.values()}
    databases = rf"`(?!(?:{database}|performance_schema)`)"
    return {grant for grant in shown if not re.search(rf" ON (\w+ )?{databases}", grant)}


def executes(database: str, account: str, procedures: set[str]) -> set[str]:
    """EXECUTE on each procedure, as SHOW GRANTS prints it."""
    return {f"GRANT EXECUTE ON PROCEDURE `{database}`.`{name}` TO `{account}`@`%`" for name in procedures}


@pytest.mark.parametrize(("account", "procedures"), [("checkout_app", APP), ("checkout_cron", CRON)])
def test_a_login_account_may_execute_exactly_its_procedures(
    session: Session, database: str, account: str, procedures: set[str]
) -> None:
    usage = f"GRANT USAGE ON *.* TO `{account}`@`%`"
    assert grants(session, account, database) == {usage, *executes(database, account, procedures)}


def test_an_operator_may_execute_every_public_procedure_and_read_the_listed_tables_and_views(
    session: Session, database: str
) -> None:
    account = "checkout_operator"
    assert grants(session, account, database) == {
        f"GRANT USAGE ON *.* TO `{account}`@`%`",
        *executes(database, account, OPERATOR),
        *(f"GRANT SELECT ON `{database}`.`{table}` TO `{account}`@`%`" for table in OPERATOR_READS),
    }


def test_a_dba_is_an_operator(session: Session, database: str) -> None:
    assert grants(session, "checkout_dba", database) == {
        "GRANT USAGE ON *.* TO `checkout_dba`@`%`",
        "GRANT `checkout_operator`@`%` TO `checkout_dba`@`%`",
    }


def test_the_owner_has_its_database_and_cannot_log_in(session: Session, database: str) -> None:
    account = "`checkout_owner`@`localhost`"
    group = ("replication_group_members", "replication_group_member_stats")
    assert grants(session, "checkout_owner@localhost", database) == {
        *(f"GRANT SELECT ON `performance_schema`.`{table}` TO {account}" for table in group),
        f"GRANT USAGE ON *.* TO {account}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE, EVENT ON `{database}`.* TO {account}",
    }
    locked = session.query("SELECT user FROM mysql.user WHERE user LIKE 'checkout\\_%' AND account_locked = 'Y'")
    assert {row["user"] for row in locked} == {"checkout_owner", "checkout_operator"}


def test_the_expected_lists_equal_the_accounts_file() -> None:
    assert {*procedures_of("checkout_app")} == APP
    assert {*procedures_of("checkout_cron")} == CRON
    assert {*procedures_of("checkout_operator")} == OPERATOR
    assert set(PUBLIC_PROCEDURES) == APP | CRON | OPERATOR


def test_the_service_and_cron_call_every_procedure_that_their_accounts_may_execute() -> None:
    """Both find the primary, which may have to enable the EVENT."""
    primary = (ROOT / "service" / "primary.py").read_text()
    for folder, procedures in (("service", APP), ("cron", CRON)):
        code = primary + "".join(path.read_text() for path in (ROOT / folder).glob("*.py"))
        assert {name for name in procedures if not re.search(rf"\b{name}\b", code)} == set()


def test_the_app_account_cannot_access_a_table_or_view(session: Session, app: Session) -> None:
    for row in session.query("SHOW TABLES"):
        (table,) = row.values()
        for statement in (
            f"SELECT 1 FROM {table}",
            f"INSERT INTO {table} VALUES (1)",
            f"UPDATE {table} SET id = 1",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"DROP TABLE {table}",
        ):
            assert app.error(statement).errno == TABLE_DENIED, statement


def test_the_app_account_cannot_call_another_routine(app: Session) -> None:
    for name in sorted(set(ROUTINES) - APP):
        parameters = re.search(r"\((.*?)\)\n(?:RETURNS|COMMENT)", ROUTINES[name].statement, re.S)
        assert parameters, name
        places = ", ".join(["NULL"] * len(re.findall(r"\bin_\w+|\bio_\w+|\bout_\w+", parameters[1])))
        verb = "SELECT" if "CREATE FUNCTION" in ROUTINES[name].statement else "CALL"
        assert app.error(f"{verb} {name}({places})").errno == ROUTINE_DENIED, name


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (id INT)",
        "CREATE PROCEDURE p() DO 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DO 1",
        "ALTER EVENT sweep_due DISABLE",
        "DROP PROCEDURE create_holds",
        "CREATE DATABASE another",
    ],
)
def test_the_app_account_cannot_change_the_schema(app: Session, statement: str) -> None:
    assert app.error(statement).errno in {TABLE_DENIED, ROUTINE_DENIED, DATABASE_DENIED, 1305}


def test_the_app_account_can_create_a_hold(session: Session, app: Session) -> None:
    product_id = session.create_product(stock=1)
    (row,) = app.batch("create_holds", [{"product_id": product_id, "quantity": 1}])
    assert row["errno"] is None
