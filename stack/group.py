"""Private MySQL servers that are a group (MySQL Group Replication), with the settings of deployment/."""

import os
import secrets
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mysql.connector

from service.mysql_url import MysqlUrl
from stack.errors import StackError
from stack.mysql import MysqlServer
from stack.process import POLL_INTERVAL_S, free_port
from stack.programs import MysqlProgram

DEPLOYMENT = Path(__file__).resolve().parent.parent / "deployment" / "group-replication"
PLACEHOLDER = "the password of group_replication"  # in account.sql
ONLINE_TIMEOUT_S = 240
ANSWER_TIMEOUT_S = 5
RESTART_EXIT_CODE = 16  # mysqld asks its supervisor for a restart, as it does after it was cloned

MY_CNF_MEMBER = """\
!include {deployment}/my.cnf
{server_settings}
server-id = {number}
report-host = 127.0.0.1
report-port = {port}
loose-group-replication-local-address = 127.0.0.1:{port}
loose-group-replication-group-seeds = {seeds}
loose-group-replication-start-on-boot = {start_on_boot}

# Several servers share this machine.
performance-schema = OFF
innodb-log-buffer-size = 8M
key-buffer-size = 16K
"""

STATUS = """\
SELECT COALESCE(MAX(IF(member_id = @@server_uuid, member_state, NULL)), 'OFFLINE') AS state,
    COALESCE(MAX(IF(member_id = @@server_uuid, member_role, NULL)), '') AS role,
    COALESCE(MAX(IF(member_role = 'PRIMARY', member_port, NULL)), 0) AS primary_port,
    COUNT(*) AS members, CAST(COALESCE(SUM(member_state <> 'UNREACHABLE'), 0) AS SIGNED) AS reachable,
    COALESCE(MAX((SELECT count_transactions_in_queue + count_transactions_remote_in_applier_queue
        FROM performance_schema.replication_group_member_stats WHERE member_id = @@server_uuid)), 0) AS queue
FROM performance_schema.replication_group_members
"""


@dataclass(frozen=True)
class Status:
    """What a member says of itself and of the group; nothing where it does not answer."""

    process: str
    state: str = ""
    role: str = ""
    primary_port: int = 0
    members: int = 0
    reachable: int = 0
    queue: int = 0


class Member(MysqlServer):
    """One server of a group."""

    def __init__(
        self,
        number: int,
        folder: Path,
        socket_folder: Path,
        program: MysqlProgram,
        buffer_pool_mib: int,
        *,
        port: int,
        passwords: tuple[str, str],
        seeds: Callable[[], str],
    ) -> None:
        """`passwords` are those of root and of the account by which members reach each other."""
        self.number = number
        self._joins_by_itself = True
        self._replication_password = passwords[1]
        self._seeds = seeds
        super().__init__(
            folder,
            socket_folder,
            program,
            buffer_pool_mib,
            name=f"MySQL member {number}",
            port=port,
            password=passwords[0],
            environment={**os.environ, "MYSQLD_PARENT_PID": str(os.getpid())},  # we restart it where it asks for it
        )

    def start(self, *, joins_by_itself: bool = True) -> None:
        """Start the server; it joins the group by itself, which takes some seconds more, or stays alone."""
        self._joins_by_itself = joins_by_itself
        super().start()

    def execute(self, statement: str, *parameters: Any, timeout_s: float = ONLINE_TIMEOUT_S) -> list[dict[str, Any]]:
        """Run a statement here as root; returns its rows, if it has any."""
        connection: Any = mysql.connector.connect(
            **self.url.driver_options(),
            use_pure=True,
            autocommit=True,
            connection_timeout=ANSWER_TIMEOUT_S,
            read_timeout=timeout_s,
        )
        with closing(connection):
            cursor = connection.cursor(dictionary=True)
            cursor.execute(statement, parameters)
            rows: list[dict[str, Any]] = cursor.fetchall() if cursor.with_rows else []
            return rows

    def run(self, file: str) -> None:
        """Run the statements of a file in deployment/group-replication/ here as root. Raises StackError."""
        try:
            for statement in (DEPLOYMENT / file).read_text().split(";"):
                if statement.strip():
                    self.execute(statement)
        except mysql.connector.Error as error:
            raise StackError(f"{self.name}: {file}: {error}{self.see_log()}") from None

    def status(self) -> Status:
        """How the member is, by its own account."""
        if not self.is_running():
            return Status("stopped")
        if self.is_paused():
            return Status("frozen")
        try:
            (row,) = self.execute(STATUS, timeout_s=ANSWER_TIMEOUT_S)
        except mysql.connector.Error:
            return Status("no answer")
        return Status("running", **row)

    def transactions(self) -> str:
        """The GTIDs of all that the member has."""
        (row,) = self.execute((DEPLOYMENT / "transactions.sql").read_text())
        return str(row["transactions"]).replace("\n", "")

    def wait_until_online(self) -> None:
        """Return when the member is part of the group and has all of its data.

        A member that was cloned asks for a restart on its way there. A server tries once to join when it starts; that
        fails now and then while the group has yet to expel the process that was killed.
        """
        deadline = time.monotonic() + ONLINE_TIMEOUT_S
        answer = ""
        while (status := self.status()).state != "ONLINE":
            if self.exit_code() == RESTART_EXIT_CODE:
                self.start()
            elif not self.is_running():
                raise StackError(self.exit_message())
            elif time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ONLINE after {ONLINE_TIMEOUT_S} s, but {status}{answer}{self.see_log()}"
                )
            elif status.state == "OFFLINE":
                answer = self._join_if_it_does_not()
            time.sleep(POLL_INTERVAL_S)

    def _join_if_it_does_not(self) -> str:
        """Join when the server's own try has ended in vain; returns MySQL's answer if it is an error."""
        try:
            self.execute("START GROUP_REPLICATION")  # waits for the end of the server's own try
        except mysql.connector.Error as error:
            return f", {error}"  # 3093 where the server has joined by itself
        return ""

    def account_sql(self) -> str:
        """What creates the account by which members reach each other."""
        return (DEPLOYMENT / "account.sql").read_text().replace(PLACEHOLDER, self._replication_password)

    def remove(self) -> None:
        """Leave the group and stop, and delete all data."""
        self.stop()
        shutil.rmtree(self._folder)

    def _init_sql(self) -> str:
        # Nothing of this is replicated: each member has the account before it knows the others.
        return super()._init_sql() + self.account_sql()

    def _settings(self) -> str:
        return MY_CNF_MEMBER.format(
            deployment=DEPLOYMENT,
            server_settings=super()._settings(),
            number=self.number,
            port=self.url.hosts[0].port,
            seeds=self._seeds(),
            start_on_boot="ON" if self._joins_by_itself else "OFF",
        )


class Group:
    """Members in folders `mysql-1`, `mysql-2`, …; their data stays there from start to start."""

    name = "MySQL group"

    def __init__(
        self, folder: Path, socket_folder: Path, program: MysqlProgram, buffer_pool_mib: int, size: int
    ) -> None:
        """At least so many members; those that were added in an earlier run are members still."""
        self._folder = folder
        self._arguments = (socket_folder, program, buffer_pool_mib)
        self._ports: defaultdict[int, int] = defaultdict(free_port)
        self._passwords = (secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        found = {int(path.name.removeprefix("mysql-")) for path in folder.glob("mysql-[0-9]*")}
        self.members = [self._member(number) for number in sorted(found | set(range(1, size + 1)))]

    @property
    def url(self) -> MysqlUrl:
        """The account root on all members."""
        return MysqlUrl("root", self._passwords[0], hosts=tuple(member.url.hosts[0] for member in self.members))

    def start(self) -> None:
        """Start every member and form the group, also after too few of its members were left for a majority.

        The member that has all transactions of the others begins. Raises StackError if there is none.
        """
        # To leave a group that has no majority takes 30 s; what is committed survives a kill.
        _side_by_side(_start_alone, self.members)
        first = self._most_advanced()
        first.run("bootstrap.sql")
        for member in self.members:
            if member is not first:
                member.run("join.sql")
        for member in self.members:
            member.wait_until_online()

    def stop(self) -> None:
        """Stop every member."""
        _side_by_side(Member.stop, self.members)

    def member(self, number: int) -> Member:
        """The member of this number."""
        for member in self.members:
            if member.number == number:
                return member
        raise StackError(f"no member {number}: there are {', '.join(str(member.number) for member in self.members)}")

    def primary(self) -> Member:
        """The member that is the primary for most of those that reach a majority.

        One that was frozen and goes on believes for some seconds that it is still the primary.
        """
        statuses = [member.status() for member in self.members]
        votes = Counter(status.primary_port for status in statuses if 2 * status.reachable > status.members)
        ((port, _),) = votes.most_common(1) or [(0, 0)]
        for member in self.members:
            if member.url.hosts[0].port == port:
                return member
        raise StackError("no member is the primary: script/members shows their states")

    def promote(self, member: Member) -> None:
        """Hand the primary's role over, when the running transactions have ended."""
        self.primary().execute(
            "SELECT group_replication_set_as_primary(%s)", member.execute("SELECT @@server_uuid AS uuid")[0]["uuid"]
        )

    def add(self) -> Member:
        """A further member, under the address of one that was removed if there is one; it starts as a clone."""
        numbers = {member.number for member in self.members}
        member = self._member(min(set(range(1, len(numbers) + 2)) - numbers))
        self.members = sorted([*self.members, member], key=lambda one: one.number)
        member.start(joins_by_itself=False)
        member.run("clone.sql")
        member.wait_until_online()
        return member

    def remove(self, member: Member) -> None:
        """Stop a member for good and delete its data."""
        member.remove()
        self.members = [other for other in self.members if other is not member]

    def _member(self, number: int) -> Member:
        folder = self._folder / f"mysql-{number}"
        port = self._ports[number]
        return Member(number, folder, *self._arguments, port=port, passwords=self._passwords, seeds=self._seeds)

    def _seeds(self) -> str:
        return ",".join(str(host) for host in self.url.hosts)

    def _most_advanced(self) -> Member:
        """The member whose transactions include those of every other."""
        transactions = {member: member.transactions() for member in self.members}
        for member, own in transactions.items():
            if all(_is_subset(member, others, own) for others in transactions.values()):
                return member
        said = "".join(f"\n  {member.name}: {own}" for member, own in transactions.items())
        raise StackError(f"no member has all transactions, remove one whose transactions can be given up:{said}")


def _is_subset(member: Member, transactions: str, of: str) -> bool:
    return bool(member.execute("SELECT GTID_SUBSET(%s, %s) AS is_subset", transactions, of)[0]["is_subset"])


def _start_alone(member: Member) -> None:
    member.kill()
    member.start(joins_by_itself=False)


def _side_by_side(act: Callable[[Member], object], members: Sequence[Member]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(act, members))
