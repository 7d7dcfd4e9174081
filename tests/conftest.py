"""Real servers for the session, a database of its own for every test file."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from stack import servers as stack_servers
from stack.servers import Servers
from tests.support import Session, new_database

PASSWORDS = {"checkout_app": "app's /secret", "checkout_cron": "cron's @secret", "checkout_dba": "dba's :secret"}

# The same examples in every run; `--hypothesis-profile=thorough` takes many others, which differ from run to run.
settings.register_profile(
    "brief", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", settings.get_profile("brief"), derandomize=False, max_examples=5000)
settings.load_profile("brief")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this project."""
    parser.addoption("--soak", action="store_true", help="run the soak, too: load and faults at random")
    parser.addoption("--soak-minutes", type=float, default=10, help="how long the soak takes (default: %(default)s)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the soak out unless it is asked for."""
    if not config.getoption("--soak"):
        soaks = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if item not in soaks]


@pytest.fixture(scope="session", autouse=True)
def _passwords() -> None:
    """The accounts' passwords of every deploy of this run."""
    for account, password in PASSWORDS.items():
        os.environ[f"{account.upper()}_PASSWORD"] = password


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The private MySQL and Redis of this run, or those that MYSQL_URL and REDIS_URL name."""
    # Each of pytest's workers has servers of its own.
    with stack_servers.start(os.environ.get("PYTEST_XDIST_WORKER", "test")) as started:
        yield started


@pytest.fixture(scope="module")
def database_url(servers: Servers, request: pytest.FixtureRequest) -> Iterator[str]:
    """The administrator's URL of this test file's own database."""
    with new_database(servers.mysql_url, request.module.__name__.replace(".", "_")) as url:
        yield url


@pytest.fixture
def server_time_zone(servers: Servers) -> Iterator[str]:
    """A time zone other than UTC, which new sessions get unless they set their own."""
    administrator = Session(servers.mysql_url)
    before = administrator.query("SELECT @@GLOBAL.time_zone AS zone")[0]["zone"]
    administrator.execute("SET GLOBAL time_zone = '+01:00'")
    yield "+01:00"
    administrator.execute("SET GLOBAL time_zone = %s", before)
    administrator.close()


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
    differences, miscounted = checker.call("check_stock"), checker.miscounted_customers()
    checker.close()
    assert differences == [], f"stock differs after the test: {differences}"
    assert miscounted == [], f"customers' units differ after the test: {miscounted}"


@pytest.fixture
def session(connect: Callable[[], Session]) -> Session:
    """One session on the file's database."""
    return connect()
