"""A group of three MySQL servers for each file that asks for it."""

import os
import shutil
from collections.abc import Iterator

import pytest

from stack import servers as stack_servers
from stack.group import Group
from stack.servers import PROJECT, Servers

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


@pytest.fixture
def group(servers: Servers) -> Group:
    """The three members, all of them ONLINE when a test begins and again when it has ended."""
    for member in servers.group.members:
        member.wait_until_online()
    return servers.group
