"""Finds mysqld, mysql and redis-server: on PATH, or else in unpacked Debian packages."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from stack import packages
from stack.errors import StackError
from stack.process import output_of

OLDEST_MYSQL = (8, 4)
PACKAGES = ("mysql-server-core", "mysql-client-core", "redis-server")
MANUAL_START_HINT = (
    "Put MySQL 8.4 or newer and Redis on PATH, or start both yourself, for example with "
    "`docker compose up -d` (compose.yaml), and set MYSQL_URL and REDIS_URL in the environment or in .env."
)

Command = list[str]


@dataclass(frozen=True)
class MysqlProgram:
    """The command that runs mysqld, and the folder of its files unless mysqld finds them by itself."""

    command: Command
    base_folder: Path | None = None


def find_mysqld() -> MysqlProgram:
    """Find MySQL 8.4 or newer on PATH, or else in Debian's packages; raises StackError."""
    found = shutil.which("mysqld")
    if found and _is_recent_mysql(output_of([found, "--version"])):
        return MysqlProgram([found])
    return MysqlProgram(_unpacked("usr/sbin/mysqld"), packages.unpacked(PACKAGES) / "usr")


def find_mysql_client() -> Command:
    """Find the mysql client of MySQL 8.4 or newer on PATH, or else in Debian's packages; raises StackError."""
    found = shutil.which("mysql")
    if found and _is_recent_mysql(output_of([found, "--version"])):
        return [found]
    return _unpacked("usr/bin/mysql")


def find_redis_server() -> Command:
    """Find redis-server on PATH, or else in Debian's packages; raises StackError."""
    found = shutil.which("redis-server")
    return [found] if found else _unpacked("usr/bin/redis-server")


def _is_recent_mysql(version_text: str) -> bool:
    """Whether the output of `--version` is that of MySQL 8.4 or newer, and not of MariaDB."""
    version = re.search(r"Ver (\d+)\.(\d+)\.\d+(?!\S*MariaDB)", version_text)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_MYSQL


def _unpacked(program: str) -> Command:
    """Return the command of a program of Debian's packages, which are downloaded if necessary; raises StackError."""
    if not packages.apt_is_available():
        raise StackError(
            f"found no MySQL or Redis to start, and this machine has no apt to fetch them.\n{MANUAL_START_HINT}"
        )
    try:
        return packages.command(PACKAGES, program)
    except StackError as error:
        raise StackError(f"cannot fetch MySQL and Redis: {error}\n{MANUAL_START_HINT}") from error
