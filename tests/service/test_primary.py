"""Several hosts in MYSQL_URL: connections find the primary and follow it when another host becomes primary."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import mysql.connector
import pytest

from service.batching import Failure
from service.database import Connection, classify, reason, require_compatible_schema
from service.deploy import OWNER, deploy
from service.mysql_url import Address, MysqlUrl
from service.primary import Primary, PrimaryNotFound
from stack.mysql import MysqlServer
from stack.process import Server, free_port
from stack.programs import find_mysqld
from stack.servers import Servers, socket_folder
from tests.http.support import Service, Shop, assert_problem, hold_request
from tests.support import PASSWORDS, PATIENCE_S, Session, eventually, group_of_one, new_database

SHORT_PATIENCE_S = 3


class Member:
    """A server with the file's database and accounts, and its own data, so that a test can tell who answered."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.url = url
        (self.address,) = MysqlUrl.parse(url).hosts

    def execute(self, statement: str) -> None:
        """Run a statement as the administrator."""
        with closing(Session(self.url)) as administrator:
            administrator.execute(statement)

    def become_primary(self) -> None:
        """Accept writes."""
        self.execute("SET GLOBAL read_only = OFF")

    def become_secondary(self) -> None:
        """Refuse all writes."""
        self.execute("SET GLOBAL super_read_only = ON")


@pytest.fixture(scope="module")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlServer]:
    """A second MySQL server."""
    folder = tmp_path_factory.mktemp("second")
    with socket_folder(folder) as sockets:
        server = MysqlServer(folder / "mysql", sockets, find_mysqld(), buffer_pool_mib=128)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def second_database_url(second_server: MysqlServer, database_url: str) -> Iterator[str]:
    """The administrator's URL of a database of the same name on the second server."""
    with new_database(str(second_server.url), MysqlUrl.parse(database_url).database) as url:
        yield url


@pytest.fixture
def members(
    servers: Servers, database_url: str, second_server: MysqlServer, second_database_url: str
) -> Iterator[tuple[Member, Member]]:
    """The primary and a secondary."""
    first, second = Member(servers.mysql, database_url), Member(second_server, second_database_url)
    second.become_secondary()
    yield first, second
    for member in (first, second):
        member.server.resume()
        member.become_primary()


def url_of(database_url: str, addresses: Sequence[Address], account: str = "checkout_app") -> MysqlUrl:
    """The URL of the file's database on these hosts, for one of the accounts."""
    url = MysqlUrl.parse(database_url).for_account(account, PASSWORDS[account])
    return replace(url, hosts=tuple(addresses), options={})


@pytest.fixture
def primary_of(database_url: str) -> Callable[..., Primary]:
    """A function that creates a Primary for some addresses."""

    def make(*addresses: Address, patience_s: float = PATIENCE_S) -> Primary:
        return Primary(url_of(database_url, addresses), patience_s=patience_s)

    return make


@pytest.fixture
def closed_port() -> Address:
    """A port on which no program listens."""
    return Address(port=free_port())


async def port_of(connection: Connection) -> int:
    """The port of the server that a connection leads to."""
    [[(port,)]] = await connection.execute("SELECT @@port")
    return int(port)


async def close(primary: Primary, *connections: Connection) -> None:
    """Close connections."""
    for connection in connections:
        await connection.close()
    await primary.close()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_the_primary_is_found_at_every_place_of_the_url(
    members: tuple[Member, Member], primary_of: Callable[..., Primary], order: tuple[int, int]
) -> None:
    first, _ = members
    primary = primary_of(*(members[position].address for position in order))
    connection = Connection(primary)
    assert await port_of(connection) == first.address.port
    await close(primary, connection)


async def test_dead_and_frozen_hosts_are_skipped(
    members: tuple[Member, Member], primary_of: Callable[..., Primary], closed_port: Address
) -> None:
    first, second = members
    second.server.pause()
    primary = primary_of(closed_port, second.address, first.address)
    connection = Connection(primary)
    assert await port_of(connection) == first.address.port
    await close(primary, connection)


async def test_without_a_primary_the_error_names_the_answer_of_each_host(
    members: tuple[Member, Member], primary_of: Callable[..., Primary], closed_port: Address
) -> None:
    _, second = members
    primary = primary_of(second.address, closed_port, patience_s=SHORT_PATIENCE_S)
    with pytest.raises(PrimaryNotFound) as refused:
        await Connection(primary).call("get_health")
    await primary.close()
    assert f"{second.address}: read-only" in str(refused.value)
    assert f"{closed_port}: " in str(refused.value)
    assert "Errno 111" in str(refused.value)
    assert (classify(refused.value), reason(refused.value)) == (Failure.RETRY, "not_primary")
    assert PASSWORDS["checkout_app"] not in str(refused.value)


async def test_a_host_that_refuses_the_account_is_named(members: tuple[Member, Member], database_url: str) -> None:
    url = url_of(database_url, [member.address for member in members]).for_account("checkout_app", "wrong secret")
    primary = Primary(url, patience_s=SHORT_PATIENCE_S)
    with pytest.raises(PrimaryNotFound, match="Access denied") as refused:
        await Connection(primary).call("get_health")
    await primary.close()
    assert "secret" not in str(refused.value)


@pytest.fixture
async def connections(
    members: tuple[Member, Member], primary_of: Callable[..., Primary]
) -> AsyncIterator[list[Connection]]:
    """Three open connections that share one Primary."""
    first, second = members
    primary = primary_of(first.address, second.address)
    opened = [Connection(primary, call_timeout_s=10 * PATIENCE_S) for _ in range(3)]
    for connection in opened:
        assert await port_of(connection) == first.address.port
    yield opened
    await close(primary, *opened)


async def test_one_answer_of_a_former_primary_moves_every_connection(
    members: tuple[Member, Member], connections: list[Connection]
) -> None:
    first, second = members
    first.become_secondary()
    second.become_primary()
    with pytest.raises(mysql.connector.Error) as refused:
        await connections[0].call("get_products", "[1]")
    assert (refused.value.errno, reason(refused.value)) == (1290, "read_only")
    assert [await port_of(connection) for connection in connections] == [second.address.port] * 3


async def test_a_dead_primary_is_replaced_by_the_next(
    members: tuple[Member, Member], connections: list[Connection]
) -> None:
    first, second = members
    first.server.kill()
    try:
        second.become_primary()
        for connection in connections:  # each connection is lost
            with pytest.raises((mysql.connector.Error, OSError)) as lost:
                await port_of(connection)
            assert classify(lost.value) is Failure.RETRY
        with pytest.raises(
            (mysql.connector.Error, OSError)
        ):  # the host is tried once more, then another one is looked for
            await port_of(connections[0])
        assert [await port_of(connection) for connection in connections] == [second.address.port] * 3
    finally:
        first.server.start()


async def test_a_call_to_a_frozen_primary_ends_when_another_host_is_primary(
    members: tuple[Member, Member], database_url: str
) -> None:
    first, second = members
    primary = Primary(url_of(database_url, [first.address, second.address]))
    caller, idle = (Connection(primary, call_timeout_s=10 * PATIENCE_S) for _ in range(2))
    assert await port_of(caller) == await port_of(idle) == first.address.port
    first.server.pause()
    second.become_primary()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises((mysql.connector.Error, OSError)) as lost:
            await caller.call("get_health")
        assert classify(lost.value) is Failure.RETRY
        assert await port_of(idle) == second.address.port
    await close(primary, caller, idle)


async def test_a_slow_call_is_not_ended_while_its_host_is_primary(
    members: tuple[Member, Member], connections: list[Connection]
) -> None:
    first, _ = members
    number = (await connections[0].execute("SELECT CONNECTION_ID()"))[0][0]
    await connections[0].execute("DO SLEEP(2.5)")
    assert await connections[0].execute("SELECT CONNECTION_ID()") == [[number]]
    assert await port_of(connections[1]) == first.address.port


async def test_of_two_writable_hosts_the_new_one_is_the_primary(
    members: tuple[Member, Member], connections: list[Connection]
) -> None:
    """A primary that lost its group still accepts writes for some seconds, but commits none."""
    _, second = members
    second.become_primary()
    with pytest.raises((mysql.connector.Error, OSError)):
        await connections[0].execute("DO SLEEP(600)")
    assert [await port_of(connection) for connection in connections] == [second.address.port] * 3


def test_deploy_cron_and_startup_checks_find_the_primary(
    members: tuple[Member, Member], database_url: str, closed_port: Address
) -> None:
    first, second = members
    addresses = [closed_port, second.address, first.address]
    first.execute("CREATE USER deployer@'%' IDENTIFIED BY 'deploys'")
    first.execute("GRANT ALL ON *.* TO deployer@'%' WITH GRANT OPTION")
    try:
        several = url_of(database_url, addresses).for_account("deployer", "deploys")
        assert "0 migrations applied, 0 routines" in deploy(str(several))
    finally:
        first.execute("DROP USER deployer@'%'")
    require_compatible_schema(str(url_of(database_url, addresses)))


@pytest.fixture
def service(members: tuple[Member, Member], database_url: str, start_service: Callable[..., Service]) -> Service:
    """A service with both hosts in its URL."""
    return start_service(MYSQL_URL=str(url_of(database_url, [member.address for member in members])))


def sweep_status(member: Member) -> str:
    """The status of the EVENT on a server."""
    with closing(Session(member.url)) as administrator:
        (event,) = administrator.query(
            "SELECT status AS status FROM information_schema.events WHERE event_schema = DATABASE()"
        )
    return str(event["status"])


def test_service_and_sweep_continue_on_the_new_primary(members: tuple[Member, Member], service: Service) -> None:
    first, second = members
    with closing(Session(first.url)) as administrator:
        product_id = administrator.create_product(stock=5)
    with service.client() as client:
        Shop(client).hold(product_id)
        first.become_secondary()
        second.become_primary()
        second.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due DISABLE ON REPLICA")
        with closing(Session(second.url)) as administrator:
            other_product_id = administrator.create_product(stock=5)
        hold = hold_request(other_product_id)
        eventually(lambda: client.request(**hold).status_code == 201)
        eventually(lambda: sweep_status(second) == "ENABLED")
        assert client.get("/readyz").json()["sweep_event"] == "enabled"
    changed = service.events("primary_changed", host=str(second.address), before=str(first.address))
    assert {line["hosts"][str(second.address)] for line in changed} == {"primary"}


def test_no_read_only_host_answers_a_read(
    members: tuple[Member, Member], database_url: str, start_service: Callable[..., Service]
) -> None:
    first, _ = members
    service = start_service(MYSQL_URL=str(url_of(database_url, [first.address])), REQUEST_DEADLINE_S="10")
    with closing(Session(first.url)) as administrator:
        product_id = administrator.create_product(stock=5)
    with service.client() as client:
        order_id = Shop(client).ordered(product_id)
        first.become_secondary()
        for path in (f"/api/orders/{order_id}", "/api/holds/1", "/api/products", "/api/products/1000000"):
            assert_problem(client.get(path), 503, "database_unavailable", None)
        assert_problem(client.request(**hold_request(1000000)), 503, "database_unavailable", None)
        assert_problem(client.get("/readyz"), 503, "not_ready", None, missing="mysql")
        assert "checkout_mysql_up 0.0" in client.get("/metrics").text
        first.become_primary()
        eventually(lambda: client.get(f"/api/orders/{order_id}").status_code == 200)


def test_the_metrics_tell_the_members_of_the_group(
    second_database_url: str, start_service: Callable[..., Service]
) -> None:
    url = url_of(second_database_url, MysqlUrl.parse(second_database_url).hosts)
    with group_of_one(second_database_url) as name:
        service = start_service(MYSQL_URL=str(url), WEB_CONCURRENCY="1")
        with service.client() as client:
            told = client.get("/metrics").text
    member = f'member="{name}"'
    assert f'checkout_group_members{{{member},role="PRIMARY",state="ONLINE"}} 1.0' in told
    for queue in ("applier", "certifier"):
        assert f"checkout_group_{queue}_queue_transactions{{{member}}} 0.0" in told
    assert "checkout_group_flow_control_throttles_total 0.0" in told
