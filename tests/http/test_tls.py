"""MySQL and Redis over TLS: clients verify the certificate and never fall back to plain text."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import mysql.connector
import pytest
import redis
import trustme

from service.database import Connection
from service.deploy import deploy
from service.mysql_url import MysqlUrl
from service.primary import Primary
from stack.process import free_port
from stack.programs import find_mysql_client
from stack.serve import client_option_file
from stack.servers import Servers
from tests.http.support import Service, Shop
from tests.support import PASSWORDS, Session, eventually

AUTHORITY, STRANGER = trustme.CA(), trustme.CA()
CERTIFICATES = {
    "ours": AUTHORITY.issue_cert("127.0.0.1", "localhost"),
    "another host's": AUTHORITY.issue_cert("elsewhere.example"),
    "a stranger's": STRANGER.issue_cert("127.0.0.1", "localhost"),
}
WRONG = ["another host's", "a stranger's"]

CERTIFICATE = r"(?i)certificate"

Present = Callable[[str], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate as ca.pem, the stranger's as stranger.pem, and each certificate with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    STRANGER.cert_pem.write_to_path(folder / "stranger.pem")
    for name, certificate in CERTIFICATES.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return folder


@pytest.fixture(scope="module")
def mysql_presents(servers: Servers, folder: Path) -> Iterator[Present]:
    """A function that makes the private MySQL present one of the certificates, or with "none" turns TLS off."""
    assert servers.mysql, "another MySQL is nobody's to reconfigure"
    administrator = Session(servers.mysql_url)
    names = ("ssl_ca", "ssl_cert", "ssl_key")
    (before,) = administrator.query("SELECT " + ", ".join(f"@@GLOBAL.{name} AS {name}" for name in names))

    def use(values: dict[str, str | None]) -> None:
        for name, value in values.items():
            administrator.execute(f"SET GLOBAL {name} = %s", value)
        administrator.execute("ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR")

    def present(name: str) -> None:
        use(dict.fromkeys(names[1:], str(folder / f"{name}.pem")))

    yield present
    use(before)
    administrator.close()


@pytest.fixture
def _system_trusts_the_stranger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "stranger.pem"))


@pytest.fixture
def mysql_is_ours(mysql_presents: Present) -> None:
    mysql_presents("ours")


@pytest.fixture(scope="module")
def redis_presents(servers: Servers, folder: Path) -> Iterator[Callable[[str], str]]:
    """A function that makes the private Redis present one of the certificates on a new port; returns the URL."""
    assert servers.redis, "another Redis is nobody's to reconfigure"
    with redis.Redis.from_url(servers.redis_url) as administrator:
        password = urlsplit(servers.redis_url).password

        def present(name: str) -> str:
            file, port = str(folder / f"{name}.pem"), free_port()
            settings = {
                "tls-cert-file": file,
                "tls-key-file": file,
                "tls-ca-cert-file": str(folder / "ca.pem"),
                "tls-auth-clients": "no",
                "tls-port": str(port),
            }
            # In one command, because Redis reads certificate and key only together and with a port.
            administrator.execute_command("CONFIG SET", *(text for pair in settings.items() for text in pair))
            return f"rediss://:{password}@127.0.0.1:{port}/15?{urlencode({'ssl_ca_certs': folder / 'ca.pem'})}"

        yield present
        administrator.config_set("tls-port", "0")


@pytest.fixture(scope="module")
def secured(folder: Path) -> Callable[..., str]:
    """A function that changes a URL of MySQL to TCP with our authority's certificate."""

    def secure(url: str, **options: str) -> str:
        return str(replace(MysqlUrl.parse(url), options={"ssl_ca": str(folder / "ca.pem"), **options}))

    return secure


def connect(url: str) -> None:
    """Connect and call as the service's workers do."""

    async def call() -> None:
        connection = Connection(Primary(MysqlUrl.parse(url)))
        await connection.call("get_health")
        await connection.close()

    asyncio.run(call())


@pytest.mark.usefixtures("mysql_is_ours")
def test_a_sale_works_over_tls_to_mysql_and_redis(
    start_service: Callable[..., Service],
    session: Session,
    app_url: str,
    secured: Callable[..., str],
    redis_presents: Callable[[str], str],
) -> None:
    redis_url = redis_presents("ours")
    service = start_service(
        MYSQL_URL=secured(app_url), REDIS_URL=redis_url, RATE_LIMIT_PER_ADDRESS="9/day", WEB_CONCURRENCY="1"
    )
    product_id = session.create_product(stock=3)
    with service.client() as client:
        eventually(lambda: client.get("/readyz").json()["redis"] == "ok")
        shop = Shop(client)
        shop.ordered(product_id)
        assert shop.available(product_id) == 2
        eventually(lambda: client.get("/api/products/1").status_code == 429)
    kinds = session.query(
        "SELECT DISTINCT connection_type AS kind FROM performance_schema.threads"
        " WHERE processlist_user = 'checkout_app'"
    )
    assert kinds == [{"kind": "SSL/TLS"}]


@pytest.mark.usefixtures("_system_trusts_the_stranger")
@pytest.mark.parametrize("certificate", WRONG)
@pytest.mark.parametrize("options", [{}, {"ssl_verify_identity": "true"}])
def test_a_mysql_with_a_wrong_certificate_is_refused(
    app_url: str, secured: Callable[..., str], mysql_presents: Present, certificate: str, options: dict[str, str]
) -> None:
    mysql_presents(certificate)
    with pytest.raises((mysql.connector.Error, ssl.SSLError), match=CERTIFICATE):
        connect(secured(app_url, **options))


def test_without_identity_verification_any_host_of_the_authority_is_accepted(
    app_url: str, secured: Callable[..., str], mysql_presents: Present
) -> None:
    mysql_presents("another host's")
    connect(secured(app_url, ssl_verify_identity="false"))
    mysql_presents("a stranger's")
    with pytest.raises((mysql.connector.Error, ssl.SSLError), match=CERTIFICATE):
        connect(secured(app_url, ssl_verify_identity="false"))


@pytest.mark.parametrize("options", [{}, {"ssl_verify_identity": "false"}, {"ssl_verify_cert": "false"}])
def test_a_mysql_without_tls_is_refused(
    app_url: str, secured: Callable[..., str], mysql_presents: Present, options: dict[str, str]
) -> None:
    mysql_presents("none")  # there is no such file, so MySQL turns TLS off
    with pytest.raises(mysql.connector.Error, match="SSL is required"):
        connect(secured(app_url, **options))


@pytest.mark.usefixtures("_system_trusts_the_stranger")
@pytest.mark.parametrize("certificate", [*WRONG, "none"])
def test_service_and_deploy_refuse_a_mysql_with_a_wrong_certificate(
    refusal: Callable[..., str],
    *,
    app_url: str,
    database_url: str,
    secured: Callable[..., str],
    mysql_presents: Present,
    certificate: str,
) -> None:
    mysql_presents(certificate)
    said = refusal(MYSQL_URL=secured(app_url))
    assert "MySQL does not serve" in said
    assert "certificate" in said or "SSL is required" in said
    with pytest.raises(mysql.connector.Error):
        deploy(secured(over_tcp(database_url)))


@pytest.mark.usefixtures("mysql_is_ours")
def test_deploy_cron_and_the_mysql_client_use_tls(
    database_url: str, secured: Callable[..., str], redis_presents: Callable[[str], str], tmp_path: Path
) -> None:
    assert "0 migrations applied" in deploy(secured(over_tcp(database_url)))
    accounts = {
        account: secured(str(MysqlUrl.parse(database_url).for_account(account, PASSWORDS[account])))
        for account in ("checkout_cron", "checkout_dba")
    }
    environment = {**os.environ, "MYSQL_URL": accounts["checkout_cron"], "REDIS_URL": redis_presents("ours")}
    for job in ("check_stock", "refresh_availability"):
        done = subprocess.run([sys.executable, "-m", f"cron.{job}", "--once"], env=environment, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
    option_file = tmp_path / "operator.cnf"
    option_file.write_text(client_option_file(MysqlUrl.parse(accounts["checkout_dba"])))
    client = [*find_mysql_client(), f"--defaults-file={option_file}", "-e", "SHOW STATUS LIKE 'Ssl_cipher'"]
    assert "TLS" in subprocess.run(client, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("certificate", WRONG)
def test_a_redis_with_a_wrong_certificate_is_not_used_and_the_log_says_why(
    start_service: Callable[..., Service],
    *,
    session: Session,
    redis_presents: Callable[[str], str],
    certificate: str,
) -> None:
    service = start_service(
        REDIS_URL=redis_presents(certificate), RATE_LIMIT_PER_ADDRESS="1000/day", WEB_CONCURRENCY="1"
    )
    product_id = session.create_product(stock=1)
    with service.client() as client:
        shop = Shop(client)
        for event in ("cache_degraded", "rate_limits_open"):
            # On a busy machine the circuit may first open because Redis is slow.
            eventually(lambda event=event: shop.available(product_id) == 1 and names_certificate(service, event))
        assert client.get("/readyz").json()["redis"] == "degraded"


def names_certificate(service: Service, event: str) -> bool:
    """Whether a log line with this event names a certificate."""
    return any("certificate" in line["reason"].lower() for line in service.events(event))


def over_tcp(url: str) -> str:
    """An administrator's URL over TCP instead of the socket."""
    return str(replace(MysqlUrl.parse(url), options={}))
