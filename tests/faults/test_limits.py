"""MySQL answers but cannot write: clients get 503, the log names the reason, and service returns by itself."""

import errno
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from service.mysql_url import MysqlUrl
from stack import programs
from stack.mysql import MysqlServer
from stack.servers import Servers
from tests.faults.ledger import Load, kill_connections, steady_load
from tests.http.support import Service, assert_problem, hold_request
from tests.support import PASSWORDS, PATIENCE_S, Session, eventually, new_database

DISK_MIB = 400
MYSQL_LOOKS_AGAIN_S = 60
BALLAST_STEP_BYTES = 64 * 1024
# Runs mysqld in its own mount namespace, as an ordinary user; its data directory is copied to a small disk.
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
ON_A_SMALL_DISK = (
    f'mount -t tmpfs -o size={DISK_MIB}m tmpfs "$0" && cp -a "$1/." "$0" && mount --bind "$0" "$1"'
    ' && shift && exec "$@"'
)


def assert_told_why(service: Service, load: Load, reason: str) -> None:
    """Wait until a batch was given up for this reason, and its clients got 503 with Retry-After."""
    eventually(lambda: service.events("database_unavailable", reason=reason))
    eventually(lambda: load.ledger.statuses()[503] > 0)


def test_the_log_names_a_read_only_mysql_and_service_returns_when_it_accepts_writes(
    service: Service, database_url: str, session: Session
) -> None:
    with steady_load(service, database_url) as load:
        session.execute("SET GLOBAL super_read_only = ON")
        try:
            assert_told_why(service, load, "read_only")
        finally:
            session.execute("SET GLOBAL read_only = OFF")
        load.assert_back_in_service()


def test_the_log_names_a_mysql_without_free_connections_and_service_returns_when_there_are_some(
    service: Service, database_url: str, session: Session
) -> None:
    before = session.query("SELECT @@max_connections AS n")[0]["n"]
    with steady_load(service, database_url) as load:
        session.execute("SET GLOBAL max_connections = 1")
        try:
            kill_connections(session)
            assert_told_why(service, load, "too_many_connections")
        finally:
            session.execute(f"SET GLOBAL max_connections = {before}")
        load.assert_back_in_service()


@pytest.mark.parametrize(
    ("forbid", "permit", "reason"),
    [
        ("ALTER USER {app} PASSWORD EXPIRE", "ALTER USER {app} IDENTIFIED BY %s", "password_expired"),
        ("ALTER USER {app} ACCOUNT LOCK", "ALTER USER {app} ACCOUNT UNLOCK", "account_locked"),
        ("ALTER USER {app} IDENTIFIED BY 'another'", "ALTER USER {app} IDENTIFIED BY %s", "access_denied"),
        (
            "ALTER USER {app} WITH MAX_QUERIES_PER_HOUR 1",
            "ALTER USER {app} WITH MAX_QUERIES_PER_HOUR 0",
            "account_limit_reached",
        ),
        ("SET GLOBAL offline_mode = ON", "SET GLOBAL offline_mode = OFF", "offline_mode"),
    ],
)
def test_every_call_is_503_while_mysql_refuses_the_service_s_account(
    service: Service, session: Session, forbid: str, permit: str, reason: str
) -> None:
    product_id = session.create_product(stock=10)
    hold = hold_request(product_id)
    app = "checkout_app@'%'"
    with service.client() as client:
        session.execute(forbid.format(app=app))
        try:
            kill_connections(session)
            refused = client.request(**hold)
            assert_problem(refused, 503, "database_unavailable", None)
            assert refused.headers["Retry-After"]
            assert_problem(client.get("/readyz"), 503, "not_ready", None, missing="mysql")
            metrics = client.get("/metrics")
            assert metrics.status_code == 200
            assert "checkout_mysql_up 0.0" in metrics.text
            (line,) = service.events("database_unavailable", reason=reason, batcher="create_holds")
            assert line["errno"]
        finally:
            session.execute(permit.format(app=app), *([PASSWORDS["checkout_app"]] if "%s" in permit else []))
        assert client.request(**hold).status_code == 201


class SmallMysql(MysqlServer):
    """A MySQL server whose data directory is on a small disk."""

    def __init__(self, folder: Path, sockets: Path, *options: str) -> None:
        """Configure the usual MySQL with a small disk and further options of mysqld."""
        super().__init__(folder, sockets, programs.find_mysqld(), buffer_pool_mib=128)
        (sockets / "disk").mkdir()
        data = folder / "data"
        self._command = [
            *NAMESPACE, "sh", "-c", ON_A_SMALL_DISK, str(sockets / "disk"), str(data),
            *self._command, "--user=root", *options,
        ]  # fmt: skip
        self._ballast = data / "ballast"

    def fill_disk(self) -> None:
        """Write until the disk is full."""
        with self._inside(self._ballast).open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(BALLAST_STEP_BYTES))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free_disk(self) -> None:
        """Free the disk."""
        self._inside(self._ballast).unlink()

    def _inside(self, path: Path) -> Path:
        """A path in the server's mount namespace."""
        assert self._child
        return Path(f"/proc/{self._child.pid}/root{path}")


@pytest.fixture
def start_small_mysql(servers: Servers) -> Iterator[Callable[..., SmallMysql]]:
    """A function that starts a server on a small disk, with further options of mysqld; it is deleted after the test."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode != 0:
        pytest.skip("this kernel lets this user make no namespace, so no small disk can be mounted")
    with tempfile.TemporaryDirectory(prefix="checkout-", dir="/tmp") as sockets, ExitStack() as started:

        def start(*options: str) -> SmallMysql:
            server = SmallMysql(servers.folder / "small", Path(sockets), *options)
            started.callback(server.kill)
            server.start()
            return server

        yield start


def test_the_log_names_a_full_disk_and_service_returns_when_there_is_room(
    start_small_mysql: Callable[..., SmallMysql], start_service: Callable[..., Service], tmp_path: Path
) -> None:
    """The binary log is on another disk."""
    mysql = start_small_mysql(f"--log-bin={tmp_path}/binlog")
    with small_shop(mysql, start_service) as (service, load):
        mysql.fill_disk()
        assert_told_why(service, load, "disk_full")
        mysql.free_disk()
        load.assert_back_in_service()


@pytest.mark.soak
@pytest.mark.timeout(2 * MYSQL_LOOKS_AGAIN_S + PATIENCE_S)
def test_a_full_disk_with_the_binary_log_stops_answers_until_mysql_checks_again(
    start_small_mysql: Callable[..., SmallMysql], start_service: Callable[..., Service]
) -> None:
    """MySQL writes to its error log, answers no statement, and checks for room once per minute."""
    mysql = start_small_mysql()
    with small_shop(mysql, start_service) as (service, load):
        mysql.fill_disk()
        assert_told_why(service, load, "no_answer")
        mysql.free_disk()
        load.wait_until_served(within_s=MYSQL_LOOKS_AGAIN_S + PATIENCE_S)


@contextmanager
def small_shop(mysql: SmallMysql, start_service: Callable[..., Service]) -> Iterator[tuple[Service, Load]]:
    """A service with its own server, under load."""
    with new_database(str(mysql.url), "small") as url:
        app_url = str(MysqlUrl.parse(url).for_account("checkout_app", PASSWORDS["checkout_app"]))
        service = start_service(mysql_url=app_url)
        with steady_load(service, url) as load:
            yield service, load
