"""Fixtures of the tests of cron programs."""

import os

import pytest

from service.mysql_url import MysqlUrl
from stack.servers import Servers
from tests.support import PASSWORDS


@pytest.fixture
def environment(database_url: str, servers: Servers) -> dict[str, str]:
    """The environment variables of a cron program for this file's database."""
    return {
        **os.environ,
        "MYSQL_URL": str(MysqlUrl.parse(database_url).for_account("checkout_cron", PASSWORDS["checkout_cron"])),
        "REDIS_URL": servers.redis_url,
    }
