"""How to run mysqld, mysql and redis-server here: from PATH, else from unpacked Debian packages."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from stack import packages
from stack.errors import StackError
from stack.process import output_of

OLDEST_MYSQL = (8, 4)
PACKAGES = ("mysql-server-core", "mysql-client-core", "redis-server")
START_THEM_YOURSELF = (
    "Put MySQL 8.4 or newer and Redis on PATH, or start both yourself, for example with "
    "`docker compose up -d` (compose.yaml), and set MYSQL_URL and REDIS_URL in the environment or in .env."
)

Command = list[str]


@dataclass(frozen=True)
class MysqlProgram:
    """How to run mysqld, and where its own files are if it does not know that itself."""

    command: Command
    base_folder: Path | None = None


def find_mysqld() -> MysqlProgram:
    """The MySQL server: a recent one on PATH, else Debian's."""
    found = shutil.which("mysqld")
    if found and _is_recent_mysql(output_of([found, "--version"])):
        return MysqlProgram([found])
    return MysqlProgram(_unpacked("usr/sbin/mysqld"), packages.unpacked(PACKAGES) / "usr")


def find_mysql_client() -> Command:
    """The mysql client: on PATH, else Debian's."""
    found = shutil.which("mysql")
    if found and _is_recent_mysql(output_of([found, "--version"])):
        return [found]
    return _unpacked("usr/bin/mysql")


def find_redis_server() -> Command:
    """The Redis server: on PATH, else Debian's."""
    found = shutil.which("redis-server")
    return [found] if found else _unpacked("usr/bin/redis-server")


def _is_recent_mysql(version_text: str) -> bool:
    """Whether `--version` printed MySQL 8.4 or newer; an older one, or MariaDB, is passed over."""
    version = re.search(r"Ver (\d+)\.(\d+)\.\d+(?!\S*MariaDB)", version_text)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_MYSQL


def _unpacked(program: str) -> Command:
    """A program of Debian's packages."""
    if not packages.apt_is_available():
        raise StackError(f"found no servers to start.\n{START_THEM_YOURSELF}")
    try:
        return packages.command(PACKAGES, program)
    except StackError as error:
        raise StackError(f"cannot fetch servers: {error}\n{START_THEM_YOURSELF}") from error
