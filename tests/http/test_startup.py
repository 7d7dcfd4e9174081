"""A service that cannot work does not start, and says what mends it without giving a secret away."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from stack.process import free_port
from tests.http.support import Service
from tests.support import Session, url_of

DEPLOY = "python -m service.deploy"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MYSQL_URL", ""),
        ("MYSQL_URL", "postgresql://app:a secret@127.0.0.1/checkout"),
        ("MYSQL_URL", "mysql://app:a secret@127.0.0.1:port/checkout"),
        ("REDIS_URL", "redis://:a secret@127.0.0.1:port/0"),
        ("PORT", "abc"),
        ("WEBHOOK_SECRETS", "whsec_MfKQ"),
        ("WEBHOOK_SECRETS", "whsec_no base64"),
        ("API_KEYS", "shop:abc"),
        ("API_KEYS", ","),
        ("API_KEYS", f"shop:{'0' * 64},app:{'0' * 64}"),
        ("RATE_LIMIT_PER_KEY", "100/second"),
        ("RATE_LIMIT_PER_ADDRESS", "often"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(refusal: Callable[..., str], name: str, value: str) -> None:
    assert name in refusal(**{name: value})


def test_a_database_that_is_missing_is_said_to_want_a_deploy(refusal: Callable[..., str], app_url: str) -> None:
    assert DEPLOY in refusal(MYSQL_URL=url_of(app_url, database="no_such_database"))


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """The administrator's URL of a database in which nothing was installed."""
    name = "tests_http_empty"
    administrator = Session(database_url)
    administrator.execute(f"DROP DATABASE IF EXISTS {name}")
    administrator.execute(f"CREATE DATABASE {name}")
    yield url_of(database_url, database=name)
    administrator.execute(f"DROP DATABASE {name}")
    administrator.close()


def test_a_database_without_tables_is_said_to_want_a_deploy(refusal: Callable[..., str], empty_database: str) -> None:
    assert DEPLOY in refusal(MYSQL_URL=empty_database)


def test_a_wrong_password_is_said_and_not_shown(refusal: Callable[..., str], app_url: str) -> None:
    database = app_url.partition("?")[0].rpartition("/")[2]
    url = url_of(app_url, database=database, account="checkout_app", password="a secret")
    assert "checkout_app" in refusal(MYSQL_URL=url)


def test_a_mysql_that_is_not_there_is_said_to_be_away(refusal: Callable[..., str]) -> None:
    said = refusal(MYSQL_URL=f"mysql://checkout_app:a%20secret@127.0.0.1:{free_port()}/checkout")
    assert "MYSQL_URL" in said


@pytest.mark.parametrize(
    ("column", "value", "mends"), [("schema_version", 0, DEPLOY), ("oldest_code", 1000, "newer release")]
)
def test_a_schema_that_does_not_fit_is_refused_with_what_mends_it(
    refusal: Callable[..., str], session: Session, column: str, value: int, mends: str
) -> None:
    (before,) = session.query(f"SELECT {column} AS value FROM schema_release")
    session.execute(f"UPDATE schema_release SET {column} = %s", value)
    try:
        assert mends in refusal()
    finally:
        session.execute(f"UPDATE schema_release SET {column} = %s", before["value"])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "shop.example"])  # noqa: S104 it must not start
def test_unsigned_webhooks_are_taken_on_loopback_only(refusal: Callable[..., str], host: str) -> None:
    assert "WEBHOOK_SECRETS" in refusal(HOST=host)


def test_the_command_line_does_not_get_past_that(refusal: Callable[..., str]) -> None:
    assert "WEBHOOK_SECRETS" in refusal("-b", "127.0.0.1:0", "-b", "0.0.0.0:0")
    assert "WEBHOOK_SECRETS" in refusal(GUNICORN_CMD_ARGS="--bind [::]:0 --reuse-port")


def test_nor_does_a_socket_that_somebody_else_has_bound(refusal: Callable[..., str]) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104 as systemd would
        number = listener.fileno()
        assert "WEBHOOK_SECRETS" in refusal("-b", f"fd://{number}", descriptors=(number,))


class ServiceOnSocket(Service):
    """A service that listens on a unix socket only."""

    def client(self) -> httpx.Client:
        """A client of the socket."""
        transport = httpx.HTTPTransport(uds=str(self._folder / "socket"))
        return httpx.Client(transport=transport, base_url="http://checkout")


def test_a_unix_socket_is_this_machines_alone(app_url: str, redis_url: str, tmp_path: Path) -> None:
    service = ServiceOnSocket(tmp_path, app_url, redis_url, GUNICORN_CMD_ARGS=f"-b unix:{tmp_path}/socket")
    service.start()  # waits until it is ready
    service.begin_stop()
    service.finish()
