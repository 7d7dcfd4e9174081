"""A service that cannot serve does not start: it prints the remedy, and no secret."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.mysql_url import MysqlUrl
from stack.process import free_port
from tests.http.support import Service
from tests.support import PATIENCE_S, Session

DEPLOY = "python -m service.deploy"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MYSQL_URL", "postgresql://app:a secret@127.0.0.1/checkout"),
        ("REDIS_URL", "redis://:a secret@127.0.0.1:port/0"),
        ("WEBHOOK_SECRETS", "whsec_a secret"),
    ],
)
def test_an_invalid_setting_is_named(refusal: Callable[..., str], name: str, value: str) -> None:
    assert name in refusal(**{name: value})


def test_a_missing_database_is_reported_with_the_deploy_command(refusal: Callable[..., str], app_url: str) -> None:
    assert DEPLOY in refusal(MYSQL_URL=str(MysqlUrl.parse(app_url).for_database("no_such_database")))


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """The administrator's URL of a database without tables and routines."""
    name = "tests_http_empty"
    administrator = Session(database_url)
    administrator.execute(f"DROP DATABASE IF EXISTS {name}")
    administrator.execute(f"CREATE DATABASE {name}")
    yield str(MysqlUrl.parse(database_url).for_database(name))
    administrator.execute(f"DROP DATABASE {name}")
    administrator.close()


def test_an_empty_database_is_reported_with_the_deploy_command(
    refusal: Callable[..., str], empty_database: str
) -> None:
    assert DEPLOY in refusal(MYSQL_URL=empty_database)


def test_a_wrong_password_is_reported_but_not_shown(refusal: Callable[..., str], app_url: str) -> None:
    url = MysqlUrl.parse(app_url).for_account("checkout_app", "a secret")
    assert "checkout_app" in refusal(MYSQL_URL=str(url))


def test_a_mysql_that_does_not_listen_is_reported_with_its_setting(refusal: Callable[..., str]) -> None:
    said = refusal(MYSQL_URL=f"mysql://checkout_app:a%20secret@127.0.0.1:{free_port()}/checkout")
    assert "MYSQL_URL" in said


@pytest.mark.parametrize(
    ("column", "value", "remedy"), [("schema_version", 0, DEPLOY), ("oldest_code", 1000, "newer release")]
)
def test_an_incompatible_schema_is_reported_with_the_remedy(
    refusal: Callable[..., str], session: Session, column: str, value: int, remedy: str
) -> None:
    (before,) = session.query(f"SELECT {column} AS value FROM schema_release")
    session.execute(f"UPDATE schema_release SET {column} = %s", value)
    try:
        assert remedy in refusal()
    finally:
        session.execute(f"UPDATE schema_release SET {column} = %s", before["value"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "shop.example"])  # noqa: S104 it must not start
def test_unsigned_webhooks_are_refused_on_a_public_host(refusal: Callable[..., str], host: str) -> None:
    assert "WEBHOOK_SECRETS" in refusal(HOST=host)


def test_unsigned_webhooks_are_refused_on_a_public_address_of_the_command_line(refusal: Callable[..., str]) -> None:
    assert "WEBHOOK_SECRETS" in refusal("-b", "127.0.0.1:0", "-b", "0.0.0.0:0")
    assert "WEBHOOK_SECRETS" in refusal(GUNICORN_CMD_ARGS="--bind [::]:0 --reuse-port")


def test_unsigned_webhooks_are_refused_on_an_inherited_public_socket(refusal: Callable[..., str]) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104 as systemd passes it
        number = listener.fileno()
        assert "WEBHOOK_SECRETS" in refusal("-b", f"fd://{number}", descriptors=(number,))


class ServiceOnSocket(Service):
    """A service that listens only on a unix socket."""

    def status_of(self, path: str) -> int:
        """Return the status of a GET over the socket."""
        transport = httpx.HTTPTransport(uds=str(self._folder / "socket"))
        with httpx.Client(transport=transport, base_url="http://checkout", timeout=PATIENCE_S) as client:
            return client.get(path).status_code


def test_unsigned_webhooks_are_accepted_on_a_unix_socket(app_url: str, redis_url: str, tmp_path: Path) -> None:
    service = ServiceOnSocket(tmp_path, app_url, redis_url, GUNICORN_CMD_ARGS=f"-b unix:{tmp_path}/socket")
    service.start()  # returns when it is ready
    service.begin_stop()
    service.finish()
