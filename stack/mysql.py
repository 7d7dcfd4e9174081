"""A private MySQL server: its folder, its settings, its start."""

import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from service.mysql_url import Address, MysqlUrl
from stack.errors import StackError
from stack.files import write_private
from stack.process import Server, free_port, output_of
from stack.programs import MysqlProgram

MIB = 1 << 20

MY_CNF = """\
# Written at every start.
[mysqld]
datadir                        = {folder}/data
pid-file                       = {folder}/mysqld.pid
log-error                      = {folder}/error.log
socket                         = {socket}
bind-address                   = 127.0.0.1
port                           = {port}
mysqlx                         = OFF
skip-name-resolve              = ON
secure-file-priv               = NULL
max-connections                = 500

# Durable, as everywhere: these two are MySQL's defaults and must stay.
sync-binlog                    = 1
innodb-flush-log-at-trx-commit = 1

binlog-expire-logs-seconds     = 86400
innodb-buffer-pool-size        = {buffer_pool_mib}M
innodb-redo-log-capacity       = {redo_log_mib}M
# Off by default where cores are few: then a COMMIT now and then stands still for 0.1 s while much is written beside it.
innodb-log-writer-threads      = ON
event-scheduler                = ON
default-time-zone              = +00:00
"""
MY_CNF_UNPACKED = """\

basedir                        = {base}
plugin-dir                     = {base}/lib/mysql/plugin
lc-messages-dir                = {base}/share/mysql
"""
MY_CNF_ROOT = """\

# mysqld refuses to run as root unless told to.
user                           = root
"""

# Runs at every start before mysqld listens, so that nobody ever meets an empty password. The second account is
# the first one over TCP, where names are not resolved.
INIT_SQL = """\
SET sql_log_bin = OFF;
ALTER USER root@localhost IDENTIFIED BY '{password}';
CREATE USER IF NOT EXISTS root@'127.0.0.1';
ALTER USER root@'127.0.0.1' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
"""


class MysqlServer(Server):
    """A private MySQL server whose data stays in its folder from start to start."""

    def __init__(
        self,
        folder: Path,
        socket_folder: Path,
        program: MysqlProgram,
        buffer_pool_mib: int,
        *,
        name: str = "MySQL",
        port: int | None = None,
        password: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Choose a port, and a password for root, unless they are given."""
        folder.mkdir(parents=True, exist_ok=True)
        self._program = program
        self._buffer_pool_mib = min(buffer_pool_mib, _memory_mib() // 4)
        self._socket = socket_folder / f"{folder.name}.sock"
        self.url = MysqlUrl(
            user="root",
            password=password or secrets.token_urlsafe(24),
            hosts=(Address(port=port or free_port()),),
            options={"unix_socket": str(self._socket)},
        )
        self._mysqld = [*program.command, f"--defaults-file={folder}/my.cnf"]
        command = [*self._mysqld, f"--init-file={folder}/init.sql"]
        super().__init__(name, command, folder, log=folder / "error.log", environment=environment)

    def start(self) -> None:
        """Start the server, initialised before if need be, and wait until it answers."""
        write_private(self._folder / "init.sql", self._init_sql())
        write_private(self._folder / "my.cnf", self._settings())
        if not (self._folder / "data").exists():
            self._initialise()
        # A killed server leaves this with its pid; given to another process, mysqld would take it for a rival.
        Path(f"{self._socket}.lock").unlink(missing_ok=True)
        super().start()

    def answers(self) -> bool:
        """Whether a connection is greeted, which mysqld does once its init file has run."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self._socket))
                return len(connection.recv(1)) == 1
            except OSError:
                return False

    def _init_sql(self) -> str:
        """What mysqld runs at every start before it listens."""
        return INIT_SQL.format(password=self.url.password)

    def _settings(self) -> str:
        """The text of my.cnf."""
        settings = MY_CNF.format(
            folder=self._folder,
            socket=self._socket,
            port=self.url.hosts[0].port,
            buffer_pool_mib=self._buffer_pool_mib,
            redo_log_mib=self._buffer_pool_mib // 2,
        )
        if self._program.base_folder:
            settings += MY_CNF_UNPACKED.format(base=self._program.base_folder)
        if os.geteuid() == 0:
            settings += MY_CNF_ROOT
        return settings

    def _initialise(self) -> None:
        """Make the data directory, which gets its name only when it is complete."""
        unfinished = self._folder / "data.partial"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        try:
            output_of([*self._mysqld, "--initialize-insecure", f"--datadir={unfinished}"])
        except StackError as error:
            raise StackError(f"MySQL cannot make its data directory{self.see_log()}") from error
        unfinished.rename(self._folder / "data")


def _memory_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
