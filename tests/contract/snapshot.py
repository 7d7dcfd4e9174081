"""The schema as MySQL shows it after a deploy, for sql/schema.sql.

    MYSQL_URL=mysql://root:…@127.0.0.1:3306/ python -m tests.contract.snapshot > sql/schema.sql

deploys a database of its own, prints its schema and drops it. Without MYSQL_URL a private server is started.
"""

import re
import sys
from contextlib import redirect_stdout

from stack import servers
from tests.support import Session, new_database

HEADER = """\
-- What the migrations and the views come to. Generated: python -m tests.contract.snapshot > sql/schema.sql
-- A test fails when it differs from a fresh deploy.
"""


def snapshot(session: Session) -> str:
    """The tables as SHOW CREATE TABLE has them, and the views' columns."""
    names = session.query(
        "SELECT table_name AS name, table_type AS kind FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name NOT LIKE '%yoyo%' ORDER BY kind, name"
    )
    parts = [
        table(session, row["name"]) if row["kind"] == "BASE TABLE" else view(session, row["name"]) for row in names
    ]
    return "\n".join([HEADER, *parts])


def table(session: Session, name: str) -> str:
    """CREATE TABLE without the counter that moves with the data."""
    (row,) = session.query(f"SHOW CREATE TABLE {name}")
    return re.sub(r" AUTO_INCREMENT=\d+", "", row["Create Table"]) + ";\n"


def view(session: Session, name: str) -> str:
    """The columns of a view and their types."""
    columns = session.query(
        "SELECT column_name AS name, column_type AS type FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        name,
    )
    return "\n".join([f"-- view {name}:", *(f"--   {column['name']} {column['type']}" for column in columns)]) + "\n"


def main() -> None:
    """Print the snapshot of a fresh deploy; what the servers say goes to stderr."""
    with (
        redirect_stdout(sys.stderr),
        servers.start("snapshot") as started,
        new_database(started.mysql_url, "tests_contract_snapshot") as url,
    ):
        session = Session(url)
        text = snapshot(session)
        session.close()
    print(text, end="")


if __name__ == "__main__":
    main()
