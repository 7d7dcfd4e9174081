"""Real servers for the session, a database of its own for every test file."""

import os
from collections.abc import Callable, Iterator

import pytest

from stack import servers as stack_servers
from stack.servers import Servers
from tests.support import Session, new_database

PASSWORDS = {"checkout_app": "app's /secret", "checkout_cron": "cron's @secret", "checkout_dba": "dba's :secret"}


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The private MySQL and Redis of this run, or those that MYSQL_URL and REDIS_URL name."""
    for account, password in PASSWORDS.items():
        os.environ[f"{account.upper()}_PASSWORD"] = password
    # Each of pytest's workers has servers of its own.
    with stack_servers.start(os.environ.get("PYTEST_XDIST_WORKER", "test")) as started:
        yield started


@pytest.fixture(scope="module")
def database_url(servers: Servers, request: pytest.FixtureRequest) -> Iterator[str]:
    """The administrator's URL of this test file's own database."""
    with new_database(servers.mysql_url, request.module.__name__.replace(".", "_")) as url:
        yield url


@pytest.fixture
def connect(database_url: str) -> Iterator[Callable[[], Session]]:
    """Opens sessions on the file's database; all are closed after the test, and stock is checked then."""
    sessions: list[Session] = []

    def open_session() -> Session:
        sessions.append(Session(database_url))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()
    checker = Session(database_url)
    differences = checker.call("check_stock")
    checker.close()
    assert differences == [], f"stock differs after the test: {differences}"


@pytest.fixture
def session(connect: Callable[[], Session]) -> Session:
    """One session on the file's database."""
    return connect()
