"""A new database from which a document is generated."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from stack import servers
from tests.support import new_database


@contextmanager
def new_documented_database() -> Iterator[str]:
    """Deploy a database on a private server, or on the one that MYSQL_URL names; yields its administrator's URL.

    The servers' messages go to stderr, because the document goes to stdout.
    """
    with (
        redirect_stdout(sys.stderr),
        servers.start("docs") as started,
        new_database(started.mysql_url, "docs_generate") as url,
    ):
        yield url
