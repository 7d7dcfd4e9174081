"""A group of three MySQL servers for each file that asks for it."""

import os
import shutil
from collections.abc import Iterator

import pytest

from stack import servers as stack_servers
from stack.group import Group
from stack.servers import PROJECT, Servers
from tests.support import create_database

BUFFER_POOL_MIB = 64


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A new group of three servers, and a Redis, whatever MYSQL_URL and REDIS_URL name."""
    name = f"{os.environ.get('PYTEST_XDIST_WORKER', 'test')}-group"
    shutil.rmtree(PROJECT / ".local" / name, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYSQL_URL", "")
        patch.setenv("REDIS_URL", "")
        with stack_servers.start(name, buffer_pool_mib=BUFFER_POOL_MIB, members=3) as started:
            yield started
            for member in started.group.members:  # to leave the group in order takes 15 s
                member.kill()


@pytest.fixture(scope="module")
def database_url(servers: Servers, request: pytest.FixtureRequest) -> str:
    """The administrator's URL of a new database. It is not dropped, because its servers end with the file.

    MySQL may keep a DROP waiting without end after a group whose members were killed has been formed again.
    """
    return create_database(servers.mysql_url, request.module.__name__.replace(".", "_"))


@pytest.fixture
def group(servers: Servers) -> Group:
    """The three members, all of them ONLINE when a test begins and again when it has ended."""
    for member in servers.group.members:
        member.wait_until_online()
    return servers.group
