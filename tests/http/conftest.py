"""The service in front of the test file's database, and a client of it."""

import os
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import redis

from service.mysql_url import MysqlUrl
from stack.errors import StackError
from stack.process import Server
from stack.servers import Servers
from tests.conftest import PASSWORDS
from tests.http.support import Service, Shop


@pytest.fixture(scope="module")
def app_url(database_url: str) -> str:
    """The service's own URL of the file's database: an account with EXECUTE and nothing else."""
    return str(MysqlUrl.parse(database_url).for_account("checkout_app", PASSWORDS["checkout_app"]))


@pytest.fixture(scope="module")
def redis_url(servers: Servers) -> str:
    """A logical database of Redis for this process alone, emptied: another file's products have the same ids."""
    number = 1 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    parts = urlsplit(servers.redis_url)
    if parts.scheme == "unix":
        url = urlunsplit(parts._replace(query=f"db={number}"))
    else:
        url = urlunsplit(parts._replace(path=f"/{number}"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def redis_server(servers: Servers) -> Iterator[Server]:
    """The Redis of this run, to pause and to stop; it runs again after the test."""
    try:
        server = servers.redis
    except StackError as error:
        pytest.skip(str(error))
    yield server
    if not server.is_running():
        server.start()
    server.resume()


@pytest.fixture(scope="package")
def stopping() -> Iterator[list[Service]]:
    """Services that have been asked to stop. gunicorn takes a second to notice, and the next file need not wait."""
    services: list[Service] = []
    yield services
    for service in services:
        service.finish()


@pytest.fixture(scope="module")
def start_service(
    app_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, stopping: list[Service]
) -> Iterator[Callable[..., Service]]:
    """Starts services on the file's database, with further settings; each is stopped and its log examined."""
    services: list[Service] = []

    def start(**settings: str) -> Service:
        variables = {"mysql_url": app_url, "redis_url": redis_url, **settings}
        services.append(Service(tmp_path_factory.mktemp("service"), **variables))
        services[-1].start()
        return services[-1]

    yield start
    stopping += services
    for service in services:
        service.begin_stop()


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """The service with two workers."""
    return start_service()


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    """A client of the service."""
    with service.client() as opened:
        yield opened


@pytest.fixture
def shop(client: httpx.Client) -> Shop:
    """The same client, as a shop uses it."""
    return Shop(client)
