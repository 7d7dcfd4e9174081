"""Generates sql/schema.sql: the tables and views that a deploy creates, as MySQL shows them.

    python -m docs.generate.schema > sql/schema.sql

It starts a private MySQL, or uses the server that MYSQL_URL names, where it creates a database and drops it again.
"""

import re
from contextlib import closing
from typing import Any

from docs.generate.database import connect, new_database_for_a_document
from service.mysql_url import MysqlUrl

HEADER = """\
-- The tables and views that a deploy creates. Generated: python -m docs.generate.schema > sql/schema.sql
-- A test fails if this file differs from a new database.
"""


def write_schema(database: MysqlUrl) -> str:
    """Every table as SHOW CREATE TABLE prints it, and every view's columns."""
    with closing(connect(database)) as connection, closing(connection.cursor(dictionary=True)) as cursor:
        cursor.execute(
            "SELECT table_name AS name, table_type AS kind FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND table_name NOT LIKE '%yoyo%' ORDER BY kind, name"
        )
        parts = [
            write_table(cursor, row["name"]) if row["kind"] == "BASE TABLE" else write_view(cursor, row["name"])
            for row in cursor.fetchall()
        ]
    return "\n".join([HEADER, *parts])


def write_table(cursor: Any, name: str) -> str:
    """CREATE TABLE without AUTO_INCREMENT, which depends on the rows."""
    cursor.execute(f"SHOW CREATE TABLE {name}")
    (row,) = cursor.fetchall()
    return re.sub(r" AUTO_INCREMENT=\d+", "", row["Create Table"]) + ";\n"


def write_view(cursor: Any, name: str) -> str:
    """The columns of a view and their types."""
    cursor.execute(
        "SELECT column_name AS name, column_type AS type FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (name,),
    )
    return "\n".join([f"-- view {name}:", *(f"--   {row['name']} {row['type']}" for row in cursor.fetchall())]) + "\n"


def main() -> None:
    """Print the schema of a new database."""
    with new_database_for_a_document() as url:
        text = write_schema(url)
    print(text, end="")


if __name__ == "__main__":
    main()
