"""Passwords of MySQL and Redis are changed as SECURITY.md describes, while a service runs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from service.mysql_url import MysqlUrl
from stack.servers import Servers
from tests.http.support import Service, Shop
from tests.support import PASSWORDS, Session, eventually

NEW = "new/ password"


def deploy(database_url: str, password: str) -> None:
    """Run the deploy that sets the password of the service's account."""
    environment = {**os.environ, "MYSQL_URL": database_url, "CHECKOUT_APP_PASSWORD": password}
    subprocess.run([sys.executable, "-m", "service.deploy"], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def new_mysql_password(database_url: str) -> Iterator[Callable[[], None]]:
    """A function that changes the password of the service's account; the old one is restored after the test."""
    yield lambda: deploy(database_url, NEW)
    deploy(database_url, PASSWORDS["checkout_app"])


@pytest.fixture
def redis_administrator(servers: Servers) -> Iterator["redis.Redis[bytes]"]:
    """A client of Redis that stays connected; the new password is removed after the test."""
    with redis.Redis.from_url(servers.redis_url, single_connection_client=True) as client:
        client.ping()
        yield client
        client.execute_command("ACL SETUSER", "default", f">{urlsplit(servers.redis_url).password}", "<new")


def test_a_running_service_keeps_serving_while_passwords_change_and_the_next_uses_the_new_ones(
    refusal: Callable[..., str],
    *,
    start_service: Callable[..., Service],
    session: Session,
    app_url: str,
    redis_url: str,
    new_mysql_password: Callable[[], None],
    redis_administrator: "redis.Redis[bytes]",
) -> None:
    product_id = session.create_product(stock=10)
    before = start_service(WEB_CONCURRENCY="1")
    old_redis_password = urlsplit(redis_url).password
    with before.client() as client:
        shop = Shop(client)
        shop.ordered(product_id)
        new_mysql_password()
        redis_administrator.execute_command("ACL SETUSER", "default", ">new")
        shop.ordered(product_id)
    after = start_service(
        MYSQL_URL=str(MysqlUrl.parse(app_url).for_account("checkout_app", NEW)),
        REDIS_URL=urlunsplit(
            urlsplit(redis_url)._replace(netloc=f":new@{urlsplit(redis_url).netloc.rpartition('@')[2]}")
        ),
        WEB_CONCURRENCY="1",
    )
    redis_administrator.execute_command("ACL SETUSER", "default", f"<{old_redis_password}")
    with after.client() as client:
        Shop(client).ordered(product_id)
        eventually(lambda: client.get("/readyz").json()["redis"] == "ok")
    assert session.available(product_id) == 7
    assert "checkout_app" in refusal(MYSQL_URL=app_url)
