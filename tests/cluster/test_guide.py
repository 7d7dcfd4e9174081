"""The commands of deployment/group-replication/README.md, run while buyers trade.

The group of this file begins as a single server on which the shop already runs.
"""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from service import deploy as service_deploy
from service.deploy import deploy
from stack.group import RESTART_EXIT_CODE, Group
from stack.mysql import MysqlServer
from stack.programs import find_mysqld, find_redis_server
from stack.redis import RedisServer
from stack.servers import PROJECT, Servers, socket_folder
from tests.cluster.conftest import BUFFER_POOL_MIB
from tests.deployment.guide import Operator
from tests.faults.ledger import assert_nobody_noticed, steady_load
from tests.faults.test_operations import PENDING_MIGRATIONS
from tests.http.support import Service
from tests.support import POLL_INTERVAL_S, Session, eventually

GUIDE = "group-replication/README.md"
PATIENCE_S = 90
SETTING = re.compile(r"^loose-(\S+) = (.*)$", re.M)
# The private servers of this file have other addresses than the example.
OWN = {"local-address", "group-seeds", "start-on-boot"}

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("sweep_every_second")]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A single MySQL server, members of a group that take its place and join it but do not run yet, and a Redis."""
    folder = PROJECT / ".local" / f"{os.environ.get('PYTEST_XDIST_WORKER', 'test')}-guide"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with socket_folder(folder) as sockets:
        group = Group(folder, sockets, find_mysqld(), BUFFER_POOL_MIB, size=3)
        first = group.member(1).url
        single = MysqlServer(
            folder / "mysql-1",
            sockets,
            find_mysqld(),
            BUFFER_POOL_MIB,
            port=first.hosts[0].port,
            password=first.password,
        )
        redis = RedisServer(folder / "redis", sockets, find_redis_server())
        for server in (single, redis):
            server.start()
        with restarting(group):
            yield Servers(folder, str(group.url), redis.url, (single, group, redis))
        for server in (single, redis, *group.members):
            server.kill()


@contextmanager
def restarting(group: Group) -> Iterator[None]:
    """Restart members that ask for it, as systemd does."""
    is_over = threading.Event()

    def restart() -> None:
        while not is_over.wait(POLL_INTERVAL_S):
            for member in group.members:
                if member.exit_code() == RESTART_EXIT_CODE:
                    member.start()

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the operator has the guide's files."""
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def operator(servers: Servers, database_url: str, folder: Path) -> Operator:
    """The operator of the three members."""
    name = database_url.rpartition("/")[2]
    members = {f"db{member.number}": member for member in servers.group.members}

    def become_member() -> None:
        servers.mysql.stop()
        members["db1"].start(joins_by_itself=False)

    upgrade = "systemctl stop mysql && apt-get install --only-upgrade --yes mysql-server && systemctl start mysql"
    operator = Operator(
        folder,
        database_url,
        guide=GUIDE,
        members={name: member.url for name, member in members.items()},
        units={
            "ssh db1 systemctl restart mysql": become_member,
            **{f"ssh {name} {upgrade}": member.restart for name, member in members.items()},
        },
        exchange={"--databases checkout": f"--databases {name}"},
    )
    (folder / "etc/checkout/account.sql").write_text(members["db1"].account_sql())
    return operator


@pytest.fixture(scope="module")
def formed(servers: Servers, service: Service, database_url: str, operator: Operator) -> Group:
    """The group, formed under load from the single server and two new ones."""
    group = servers.group
    for member in group.members[1:]:
        member.start(joins_by_itself=False)
    with steady_load(service, database_url) as load:
        operator.run("Form the group")
        load.wait_until_served(within_s=PATIENCE_S)
    return group


@pytest.fixture
def group(formed: Group) -> Group:
    """The group as every test finds it: all members are ONLINE, and db1 is the primary."""
    eventually(lambda: all(member.status().state == "ONLINE" for member in formed.members), within_s=PATIENCE_S)
    if formed.primary().number != 1:
        formed.promote(formed.member(1))
    return formed


def test_a_shop_on_a_single_server_has_moved_to_a_group_and_lost_nothing(group: Group, database_url: str) -> None:
    """The ledger has been compared with the primary; the others have copied what it had before it was a member."""
    name = database_url.rpartition("/")[2]
    counts = f"SELECT (SELECT COUNT(*) FROM {name}.holds) AS holds, (SELECT COUNT(*) FROM {name}.orders) AS orders"
    expected = group.primary().execute(counts)
    assert expected[0]["orders"]
    for member in group.members:
        eventually(lambda member=member: member.execute(counts) == expected)


def test_every_setting_of_the_plugin_is_one_that_mysql_knows(group: Group) -> None:
    """MySQL ignores a misspelled setting that starts with "loose-"."""
    shipped = dict(SETTING.findall((PROJECT / "deployment/group-replication/my.cnf").read_text()))
    variables = group.primary().execute("SHOW GLOBAL VARIABLES LIKE 'group\\_replication\\_%'")
    values = {row["Variable_name"].replace("_", "-"): row["Value"] for row in variables}
    own = {f"group-replication-{name}" for name in OWN}
    assert {name: values.get(name) for name in shipped.keys() - own} == {
        name: shipped[name] for name in shipped.keys() - own
    }


def test_the_members_are_shown(group: Group, operator: Operator) -> None:
    said = operator.run("See the group")
    assert (said.count("PRIMARY"), said.count("SECONDARY"), said.count("ONLINE")) == (1, 2, 3)
    assert all(str(member.url.hosts[0].port) in said for member in group.members)


def test_a_release_that_replaces_routines_and_migrates_tables_in_use_loses_nothing(
    service: Service, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: Group
) -> None:
    """The next release is this one with three more migrations and every procedure changed."""
    for folder in ("migrations", "sql"):
        shutil.copytree(service_deploy.ROOT / folder, tmp_path / folder)
    for name, statement in PENDING_MIGRATIONS.items():
        (tmp_path / "migrations" / name).write_text(statement)
    monkeypatch.setattr(service_deploy, "ROOT", tmp_path)
    with steady_load(service, database_url) as load:
        with closing(Session(database_url)) as session:
            session.execute("DELETE FROM installed_objects WHERE name LIKE 'procedures/%%'")
        assert "3 migrations applied" in deploy(database_url)
        load.wait_until_served()
    column = "SELECT COUNT(*) AS n FROM information_schema.columns WHERE table_name = 'stock' AND column_name = 'note'"
    for member in group.members:
        eventually(lambda member=member: member.execute(column)[0]["n"] == 1)


def test_the_primary_is_switched_and_nothing_is_lost(
    service: Service, database_url: str, operator: Operator, group: Group
) -> None:
    with steady_load(service, database_url) as load:
        operator.run("Switch the primary")
        load.assert_back_in_service()
    assert group.primary().number == 2


def test_every_member_is_restarted_and_nothing_is_lost(
    service: Service, database_url: str, operator: Operator, group: Group
) -> None:
    with steady_load(service, database_url) as load:
        operator.run("Upgrade or restart every member")
        load.wait_until_served(within_s=PATIENCE_S)
    assert group.primary().number != 1


def test_a_member_is_removed_and_a_clone_takes_its_place_and_nothing_is_lost(
    service: Service, database_url: str, operator: Operator, group: Group, servers: Servers
) -> None:
    removed = group.member(3)
    with steady_load(service, database_url) as load:
        operator.run("Remove a member")
        assert group.primary().status().members == 2
        removed.kill()
        shutil.rmtree(servers.folder / "mysql-3" / "data")
        removed.start(joins_by_itself=False)
        operator.run("Replace a dead member")
        load.wait_until_served()


def test_a_secondary_is_dumped_and_nobody_notices(
    service: Service, database_url: str, operator: Operator, folder: Path, group: Group
) -> None:
    assert group.member(3).status().role == "SECONDARY"
    with steady_load(service, database_url) as load:
        operator.run("Back up from a secondary")
        load.wait_until_served()
    assert_nobody_noticed(load)
    assert "INSERT INTO `holds`" in (folder / "var/backups/checkout.sql").read_text()


def test_a_group_whose_members_all_stopped_is_formed_again_and_nothing_is_lost(
    service: Service, database_url: str, operator: Operator, group: Group
) -> None:
    with steady_load(service, database_url) as load:
        group.member(3).kill()
        load.wait_until_served(within_s=PATIENCE_S)
        for member in group.members:
            member.kill()
        for member in group.members:
            member.start(joins_by_itself=False)
        said = operator.run("Restart a group that has stopped")
        load.wait_until_served(within_s=PATIENCE_S)
    # Each of the two that were left has what the group acknowledged; one may also have what was still under way.
    assert "db1 misses: nothing" in said or "db2 misses: nothing" in said
    assert "db3 misses: nothing" not in said
