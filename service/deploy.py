"""Bring a database to this release: tables, routines, views, the EVENT, accounts.

Run it before new workers start, as an account that may create users and routines:

    MYSQL_URL=mysql://root:…@127.0.0.1:3306/checkout python -m service.deploy

It may be run any number of times, also while an older release serves: a routine is replaced only when its text
changed, the EVENT also when its time zone is not UTC, and callers retry the moment in which a routine is gone. Routines
are installed before those that use them, so that a new caller never meets an old callee.
"""

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mysql.connector
import yoyo
from mysql.connector import errorcode
from yoyo.backends.core import MySQLBackend

from service import __version__
from service.database import LOCK_WAIT_TIMEOUT_S, SCHEMA_VERSION
from service.errors import SettingsError
from service.mysql_tls import BlockingConnection
from service.mysql_url import MysqlUrl
from service.primary import find_primary
from service.settings import load_environment

ROOT = Path(__file__).resolve().parent.parent
OWNER = "checkout_owner@localhost"
ACCOUNTS = ("checkout_app", "checkout_cron", "checkout_dba")
LOCK_TIMEOUT_S = 60
MIGRATION_TABLE = "_yoyo_migration"
# The routine that writes new columns or a new table, with those that it needs, and the procedure that then writes them
# for existing rows. In this order, because each backfill relies on those before it. Everything that reads the new
# columns and tables is replaced afterwards. evaluate_holds refuses what write_holds leaves open: with an older one, a
# hold of an archived product would never be decided.
BACKFILLS = (
    (("raise_error", "verdict_errno", "evaluate_holds", "write_holds"), "backfill_holds"),
    (("insert_orders",), "backfill_order_lines"),
    (("refunds_due", "settle_orders"), "backfill_orders"),
)
FIRST_MIGRATION = "0101"  # of the baseline, with which release 0.9.0 started the schema anew
# MySQL's own default, whatever the server's is.
SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION"
)


class DeployError(Exception):
    """A deploy cannot continue; the message says what to do."""


class Backend(MySQLBackend):  # type: ignore[misc] # yoyo has no type hints
    """A yoyo backend on mysql-connector, because yoyo itself supports only PyMySQL and mysqlclient."""

    driver_module = "mysql.connector"

    def connect(self, dburi: MysqlUrl) -> Any:
        """Connect as everything else does: yoyo has a URL of its own, and wants no more than a `database` of it."""
        return BlockingConnection(**dburi.driver_options())

    def quote_identifier(self, identifier: str) -> str:
        """Quote as every SQL mode permits; yoyo asks MySQL for its mode each time, several hundred times per deploy."""
        return f"`{identifier}`"


@dataclass(frozen=True)
class Routine:
    """One file below sql/: a procedure, function, view or EVENT."""

    name: str
    kind: str
    path: str
    text: str

    @property
    def sha256(self) -> str:
        """The digest of text and owner: a changed one means that the object is installed again."""
        return hashlib.sha256(f"{OWNER}\n{self.text}".encode()).hexdigest()

    @property
    def create_statement(self) -> str:
        """The file's CREATE statement with the locked account as its definer."""
        create = "CREATE OR REPLACE" if self.kind == "VIEW" else "CREATE"
        return re.sub(rf"^CREATE {self.kind}", f"{create} DEFINER = {OWNER} {self.kind}", self.text, flags=re.M)

    @property
    def used_names(self) -> set[str]:
        """The names of the routines and views that its statement uses, among others."""
        statement = re.sub(r"--.*", "", self.text)
        return {*re.findall(r"\b(\w+)\(", statement), *re.findall(r"(?:FROM|JOIN) (\w+)", statement)}


def read_routines() -> list[Routine]:
    """Return every routine, view and EVENT of sql/ in the order of installation."""
    routines = []
    for folder in ("procedures", "views", "events"):
        for path in sorted((ROOT / "sql" / folder).glob("*.sql")):
            text = path.read_text()
            created = re.search(r"^CREATE (PROCEDURE|FUNCTION|VIEW|EVENT) (\w+)", text, re.M)
            if created is None or created[2] != path.stem:
                raise DeployError(f"{path}: expected one CREATE of {path.stem}, the name of the file")
            routines.append(Routine(path.stem, created[1], f"{folder}/{path.name}", text))
    return in_dependency_order(routines)


def in_dependency_order(routines: list[Routine]) -> list[Routine]:
    """Put each routine and view behind those that it uses."""
    by_name = {routine.name: routine for routine in routines}
    ordered: list[Routine] = []
    visited: set[str] = set()

    def place(routine: Routine) -> None:
        if routine.name not in visited:
            visited.add(routine.name)
            for name in sorted(routine.used_names & by_name.keys()):
                place(by_name[name])
            ordered.append(routine)

    for routine in routines:
        place(routine)
    return ordered


def read_account_statements() -> list[str]:
    """Return the statements of sql/accounts.sql in order."""
    text = re.sub(r"^--.*$", "", (ROOT / "sql" / "accounts.sql").read_text(), flags=re.M)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


@contextmanager
def deploy_lock(cursor: Any, database: str) -> Iterator[None]:
    """Hold a named lock, so that one deploy of a database runs at a time. Raises DeployError after LOCK_TIMEOUT_S."""
    cursor.execute("SELECT GET_LOCK(LEFT(CONCAT('deploy.', %s), 64), %s)", (database, LOCK_TIMEOUT_S))
    if cursor.fetchone() != (1,):
        raise DeployError(f"another deploy of {database} has been running for {LOCK_TIMEOUT_S} s: wait for it")
    try:
        yield
    finally:
        cursor.execute("DO RELEASE_LOCK(LEFT(CONCAT('deploy.', %s), 64))", (database,))


def predates_baseline(cursor: Any, database: str) -> bool:
    """Return whether code from before release 0.9.0 made a database: its migrations had lower numbers."""
    cursor.execute(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
        (database, MIGRATION_TABLE),
    )
    if cursor.fetchone() == (0,):
        return False
    cursor.execute(f"SELECT COUNT(*) FROM `{database}`.{MIGRATION_TABLE} WHERE migration_id < %s", (FIRST_MIGRATION,))
    return bool(cursor.fetchone() != (0,))


def migrate(url: MysqlUrl) -> int:
    """Apply the pending migrations and return their number."""
    backend = Backend(url, MIGRATION_TABLE)
    backend.init_database()
    migrations = backend.to_apply(yoyo.read_migrations(str(ROOT / "migrations")))
    # The deploy lock is ours, so a lock that stands in the table was left by a killed run.
    backend.break_lock()
    with backend.lock():
        backend.apply_migrations(migrations)
    return len(migrations)


def install_routines(cursor: Any, grants: list[str]) -> int:
    """Install changed objects and drop those without a file; return the number of both.

    New routines come first, because changed ones call them; then those of BACKFILLS, each with its backfill.
    """
    routines = read_routines()
    present = find_present(cursor)
    touched = replace_changed(
        cursor, grants, [routine for routine in routines if (routine.kind, routine.name) not in present]
    )
    for names, backfill in BACKFILLS:
        touched += replace_changed(cursor, grants, [routine for routine in routines if routine.name in names])
        run_backfill(cursor, backfill)
    touched += replace_changed(cursor, grants, routines)
    return touched + drop_leftovers(cursor, routines)


def replace_changed(cursor: Any, grants: list[str], routines: list[Routine]) -> int:
    """Install those of the given routines whose text has changed; return their number."""
    cursor.execute("SELECT name, sha256 FROM installed_objects")
    installed = dict(cursor.fetchall())
    present = find_present(cursor)
    changed = [
        routine
        for routine in routines
        if installed.get(routine.path) != routine.sha256 or (routine.kind, routine.name) not in present
    ]
    for routine in changed:
        # If this deploy is killed from here on, the next one installs the routine again, because its row is missing.
        cursor.execute("DELETE FROM installed_objects WHERE name = %s", (routine.path,))
        if routine.kind != "VIEW":  # a view is replaced in one step
            # DROP waits for the transactions in which the routine is running.
            cursor.execute(f"DROP {routine.kind} IF EXISTS {routine.name}")
        cursor.execute(routine.create_statement)
        # DROP also removed the accounts' EXECUTE. Grant it again at once, because callers retry.
        for grant in grants:
            if re.search(rf"ON {routine.kind} {routine.name} ", grant):
                cursor.execute(grant)
        cursor.execute("INSERT INTO installed_objects (name, sha256) VALUES (%s, %s)", (routine.path, routine.sha256))
    return len(changed)


def run_backfill(cursor: Any, procedure: str) -> None:
    """CALL a backfill until it finishes. After a deadlock or a lock wait timeout it continues where it stopped."""
    while True:
        try:
            cursor.execute(f"CALL {procedure}()")
        except mysql.connector.Error as error:
            if error.errno not in (errorcode.ER_LOCK_DEADLOCK, errorcode.ER_LOCK_WAIT_TIMEOUT):
                raise
        else:
            return


def drop_leftovers(cursor: Any, routines: list[Routine]) -> int:
    """Drop the objects of earlier releases that this one does not have; return their number."""
    cursor.execute("SELECT name FROM installed_objects")
    leftovers = {name for (name,) in cursor.fetchall()} - {routine.path for routine in routines}
    for path in leftovers:
        drop_everywhere(cursor, Path(path))
        cursor.execute("DELETE FROM installed_objects WHERE name = %s", (path,))
    return len(leftovers)


def find_present(cursor: Any) -> set[tuple[str, str]]:
    """Return the kind and name of every routine, view and EVENT in the database.

    An EVENT keeps the time zone of the session that created it. One with another zone than UTC counts as missing.
    """
    cursor.execute(
        "SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema = DATABASE()"
        " UNION ALL SELECT 'VIEW', table_name FROM information_schema.views WHERE table_schema = DATABASE()"
        " UNION ALL SELECT 'EVENT', event_name FROM information_schema.events WHERE event_schema = DATABASE()"
        " AND time_zone = '+00:00'"
    )
    return set(cursor.fetchall())


def drop_everywhere(cursor: Any, path: Path) -> None:
    """Drop the object of a file that no longer exists; its folder tells the possible kinds."""
    kinds = {"procedures": ("PROCEDURE", "FUNCTION"), "views": ("VIEW",), "events": ("EVENT",)}
    for kind in kinds[path.parent.name]:
        cursor.execute(f"DROP {kind} IF EXISTS {path.stem}")


def revoke_leftovers(cursor: Any, grants: list[str]) -> None:
    """Revoke EXECUTE grants of earlier releases that sql/accounts.sql no longer has."""
    wanted = {tuple(found.groups()) for grant in grants if (found := re.search(r"ON \w+ (\w+) TO (\w+)", grant))}
    cursor.execute(
        "SELECT Routine_name, User, Host, Routine_type FROM mysql.procs_priv WHERE Db = DATABASE() AND User LIKE %s",
        (r"checkout\_%",),
    )
    for name, user, host, kind in cursor.fetchall():
        if (name, user) not in wanted:
            cursor.execute(f"REVOKE EXECUTE ON {kind} {name} FROM {user}@`{host}`")


def set_passwords(cursor: Any) -> None:
    """Set the login accounts' passwords from the environment; a missing variable changes nothing."""
    for account in ACCOUNTS:
        password = os.environ.get(f"{account.upper()}_PASSWORD")
        if password:
            cursor.execute(f"ALTER USER {account}@'%' IDENTIFIED BY %s", (password,))


def seed_product(cursor: Any) -> None:
    """Put the first product on sale, if there is none."""
    cursor.execute("SELECT COUNT(*) FROM products")
    if cursor.fetchone() == (0,):
        cursor.execute("CALL create_product('Limited Edition Item', 100.00, 100)")
        cursor.fetchall()
        cursor.nextset()


def deploy(url: str, *, seed: bool = False) -> str:
    """Bring the database of an administrator's URL to this release.

    Returns a line that says what was done. Raises DeployError, or mysql.connector.Error where the account may not
    do it.
    """
    hosts = MysqlUrl.parse(url)
    database = hosts.database
    if not re.fullmatch(r"\w+", database):
        raise DeployError("MYSQL_URL names no database: end it in /checkout")
    server = find_primary(hosts)
    connection = BlockingConnection(**server.for_database("").driver_options(), autocommit=True)
    try:
        cursor: Any = connection.cursor()
        with deploy_lock(cursor, database):
            if predates_baseline(cursor, database):
                raise DeployError(
                    f"the database {database} was made by a release before 0.9.0, which this one cannot upgrade:"
                    " drop it, or name another one in MYSQL_URL, and deploy again"
                )
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin")
            cursor.execute(f"USE `{database}`")
            # A routine keeps the mode and the collation that it was created under.
            cursor.execute("SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci")
            cursor.execute("SET sql_mode = %s", (SQL_MODE,))
            # While a backfill waits for a lock, buyers may wait for the locks that it has.
            cursor.execute("SET innodb_lock_wait_timeout = %s", (LOCK_WAIT_TIMEOUT_S,))
            migrated = migrate(server)
            statements = read_account_statements()
            grants = [statement for statement in statements if re.match(r"GRANT (EXECUTE|SELECT) ON \w", statement)]
            for statement in statements:
                if statement not in grants:
                    cursor.execute(statement)
                    if cursor.with_rows:  # a random password, which nobody is to learn
                        cursor.fetchall()
            installed = install_routines(cursor, grants)
            for grant in grants:
                cursor.execute(grant)
            revoke_leftovers(cursor, grants)
            # Last: from now on workers that need this schema start.
            cursor.execute("UPDATE schema_release SET schema_version = GREATEST(schema_version, %s)", (SCHEMA_VERSION,))
            set_passwords(cursor)
            if seed:
                seed_product(cursor)
    finally:
        connection.close()
    return f"{database}: {migrated} migrations applied, {installed} routines, views and events installed"


def main() -> None:
    """Run `deploy` for the command line."""
    parser = argparse.ArgumentParser(prog="python -m service.deploy", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--seed", action="store_true", help='also put 100 units of a "Limited Edition Item" on sale')
    arguments = parser.parse_args()
    load_environment()
    try:
        url = os.environ.get("MYSQL_URL")
        if not url:
            raise DeployError("MYSQL_URL is not set: give the URL of an account that may create users and routines")
        print(deploy(url, seed=arguments.seed))
    except (DeployError, SettingsError, mysql.connector.Error) as error:
        sys.exit(f"deploy: {error}")


if __name__ == "__main__":
    main()
