"""Fixtures of all tests: real servers for a run; a database, and if asked for a service, for each test file."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import redis
from hypothesis import HealthCheck, settings

from service.deploy import OWNER
from service.mysql_url import MysqlUrl
from stack import servers as stack_servers
from stack.errors import StackError
from stack.process import Server
from stack.servers import Servers
from tests.http.support import Service, Shop
from tests.support import PASSWORDS, Session, new_database

# The default profile runs the same examples every time. `--hypothesis-profile=thorough` runs many more, which differ
# from run to run.
settings.register_profile(
    "brief", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", settings.get_profile("brief"), derandomize=False, max_examples=5000)
settings.load_profile("brief")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the soak test."""
    parser.addoption("--soak", action="store_true", help="also run the soak test: load with random faults")
    parser.addoption("--soak-minutes", type=float, default=10, help="duration of the soak test (default: %(default)s)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the soak test unless `--soak` is given."""
    if not config.getoption("--soak"):
        soaks = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if item not in soaks]


@pytest.fixture(scope="session", autouse=True)
def _passwords() -> None:
    """Set the passwords that a deploy gives the accounts."""
    for account, password in PASSWORDS.items():
        os.environ[f"{account.upper()}_PASSWORD"] = password


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A private MySQL and Redis for this run, or the servers that MYSQL_URL and REDIS_URL name."""
    # Each worker of pytest-xdist starts its own servers.
    with stack_servers.start(os.environ.get("PYTEST_XDIST_WORKER", "test")) as started:
        yield started


@pytest.fixture(scope="module")
def database_url(servers: Servers, request: pytest.FixtureRequest) -> Iterator[str]:
    """The administrator's URL of a new database for this test file."""
    with new_database(servers.mysql_url, request.module.__name__.replace(".", "_")) as url:
        yield url


@pytest.fixture
def server_time_zone(servers: Servers) -> Iterator[str]:
    """Set the server's time zone to +01:00, which new sessions inherit unless they set their own."""
    administrator = Session(servers.mysql_url)
    before = administrator.query("SELECT @@GLOBAL.time_zone AS zone")[0]["zone"]
    administrator.execute("SET GLOBAL time_zone = '+01:00'")
    yield "+01:00"
    administrator.execute("SET GLOBAL time_zone = %s", before)
    administrator.close()


@pytest.fixture
def connect(database_url: str) -> Iterator[Callable[[], Session]]:
    """A function that opens sessions on the file's database; after the test stock and events are checked."""
    sessions: list[Session] = []

    def open_session() -> Session:
        sessions.append(Session(database_url))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()
    checker = Session(database_url)
    differences, miscounted = checker.call("check_stock"), checker.miscounted_customers()
    unexplained = checker.unexplained_transitions()
    checker.close()
    assert differences == [], f"stock differs after the test: {differences}"
    assert miscounted == [], f"customers' units differ after the test: {miscounted}"
    assert unexplained == [], f"events differ from the orders and holds after the test: {unexplained}"


@pytest.fixture
def session(connect: Callable[[], Session]) -> Session:
    """One session on the file's database."""
    return connect()


@pytest.fixture(scope="module")
def sweep_every_second(database_url: str) -> None:
    """Enable the EVENT of the file's database, as in production."""
    with closing(Session(database_url)) as session:
        session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due ENABLE")


@pytest.fixture
def mysql_server(servers: Servers) -> Iterator[Server]:
    """The private MySQL server, to pause or kill; it runs again after the test. Skips where MYSQL_URL names another."""
    yield from _running_after_the_test(servers, "mysql")


@pytest.fixture
def redis_server(servers: Servers) -> Iterator[Server]:
    """The private Redis server, to pause or kill; it runs again after the test. Skips where REDIS_URL names another."""
    yield from _running_after_the_test(servers, "redis")


def _running_after_the_test(servers: Servers, name: str) -> Iterator[Server]:
    try:
        server: Server = getattr(servers, name)
    except StackError as error:
        pytest.skip(str(error))
    yield server
    if not server.is_running():
        server.start()
    server.resume()


@pytest.fixture(scope="module")
def app_url(database_url: str) -> str:
    """The URL of the file's database for the service's account, which has EXECUTE and nothing else."""
    return str(MysqlUrl.parse(database_url).for_account("checkout_app", PASSWORDS["checkout_app"]))


@pytest.fixture(scope="module")
def redis_url(servers: Servers) -> str:
    """An empty logical database of Redis for this worker; product ids repeat from file to file."""
    number = 1 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    parts = urlsplit(servers.redis_url)
    if parts.scheme == "unix":
        url = urlunsplit(parts._replace(query=f"db={number}"))
    else:
        url = urlunsplit(parts._replace(path=f"/{number}"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def stopping() -> Iterator[list[Service]]:
    """Services that were asked to stop. gunicorn takes a second to do so, and the next file need not wait for it."""
    services: list[Service] = []
    yield services
    finish(services)


def finish(services: list[Service]) -> None:
    """Wait until services have ended, and check that they ended in order."""
    while services:
        services.pop().finish()


@pytest.fixture(scope="module")
def start_service(
    app_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, stopping: list[Service]
) -> Iterator[Callable[..., Service]]:
    """A function that starts a service on the file's database, with further settings; its log must show no defect."""
    services: list[Service] = []

    def start(**settings: Any) -> Service:
        variables = {"mysql_url": app_url, "redis_url": redis_url, **settings}
        services.append(Service(tmp_path_factory.mktemp("service"), **variables))
        services[-1].start()
        return services[-1]

    yield start
    finish(stopping)
    stopping += services
    for service in services:
        service.begin_stop()


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with two workers, and a deadline that a slow machine meets, too."""
    return start_service(REQUEST_DEADLINE_S="10")


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    """An HTTP client of the service."""
    with service.client() as opened:
        yield opened


@pytest.fixture
def shop(client: httpx.Client) -> Shop:
    """The same client with a shop's operations."""
    return Shop(client)
