"""Generates sql/schema.sql: the tables and views that a deploy creates, as MySQL shows them.

    python -m docs.generate.schema > sql/schema.sql

It starts a private MySQL, or uses the server that MYSQL_URL names, where it creates a database and drops it again.
"""

import re
from contextlib import closing

from docs.generate.database import new_documented_database
from tests.support import Session

HEADER = """\
-- The tables and views that a deploy creates. Generated: python -m docs.generate.schema > sql/schema.sql
-- A test fails if this file differs from a new database.
"""


def write_schema(session: Session) -> str:
    """Every table as SHOW CREATE TABLE prints it, and every view's columns."""
    names = session.query(
        "SELECT table_name AS name, table_type AS kind FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name NOT LIKE '%yoyo%' ORDER BY kind, name"
    )
    parts = [
        table(session, row["name"]) if row["kind"] == "BASE TABLE" else view(session, row["name"]) for row in names
    ]
    return "\n".join([HEADER, *parts])


def table(session: Session, name: str) -> str:
    """CREATE TABLE without AUTO_INCREMENT, which depends on the rows."""
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
    """Print the schema of a new database."""
    with new_documented_database() as url, closing(Session(url)) as session:
        text = write_schema(session)
    print(text, end="")


if __name__ == "__main__":
    main()
