"""A new database from which a document is generated."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from typing import Any

import mysql.connector

from service.deploy import deploy
from service.mysql_url import MysqlUrl
from stack import servers

DATABASE = "docs_generate"


def connect(url: MysqlUrl) -> Any:
    """A connection in autocommit mode."""
    return mysql.connector.connect(**url.driver_options(), use_pure=True, autocommit=True)


@contextmanager
def new_database(server_url: str) -> Iterator[MysqlUrl]:
    """Deploy a database and drop it with the end of the block; yields its administrator's URL."""
    server = MysqlUrl.parse(server_url)
    with closing(connect(server.for_database(""))) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        url = server.for_database(DATABASE)
        deploy(str(url))
        yield url
        cursor.execute(f"DROP DATABASE {DATABASE}")


@contextmanager
def new_database_for_a_document() -> Iterator[MysqlUrl]:
    """The same on a private server, or on the server that MYSQL_URL names.

    The servers' messages go to stderr, because the document goes to stdout.
    """
    with redirect_stdout(sys.stderr), servers.start("docs") as started, new_database(started.mysql_url) as url:
        yield url
