"""The service in front of the test file's database, whose sweep is on, and the servers to do harm to."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from service.deploy import OWNER
from stack.errors import StackError
from stack.process import Server
from stack.servers import Servers
from tests.http.conftest import app_url, redis_server, redis_url, service, start_service, stopping
from tests.support import Session

__all__ = ["app_url", "redis_server", "redis_url", "service", "start_service", "stopping"]


@pytest.fixture(scope="module", autouse=True)
def _sweep(database_url: str) -> None:
    """Sweep every second, as in production."""
    with closing(Session(database_url)) as session:
        session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due ENABLE")


@pytest.fixture
def mysql_server(servers: Servers) -> Iterator[Server]:
    """The MySQL of this run, to pause and to kill; it runs again after the test."""
    try:
        server = servers.mysql
    except StackError as error:
        pytest.skip(str(error))
    yield server
    if not server.is_running():
        server.start()
    server.resume()
