"""Runs the commands of the guides below deployment/ as an operator runs them."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from service.mysql_url import MysqlUrl
from stack.programs import find_mysql_client
from stack.servers import PROJECT

# Asks the test to do what systemd or another machine does, and waits until it is done.
ASK = '{command}() {{ echo "{command} $*" >&{asked}; read -r _ <&{done}; }}\n'


def commands_of(guide: str, section: str) -> str:
    """The commands of a section of a guide."""
    text = (PROJECT / "deployment" / guide).read_text()
    found = re.search(rf"^## {section}\n.*?^```sh\n(.*?)^```", text, re.M | re.S)
    assert found, section
    return found[1]


class Operator:
    """An operator with a shell, and the files and programs of the guide in a folder of the test.

    guide     the page, below deployment/
    members   the members of a group by name; each gets an option file
    units     what `systemctl …` and `ssh …` do, by the whole command
    exchange  paths and names in the guide, and the replacement for each
    """

    def __init__(
        self,
        folder: Path,
        administrator_url: str,
        *,
        guide: str = "README.md",
        redis_url: str = "",
        members: Mapping[str, MysqlUrl] | None = None,
        units: Mapping[str, Callable[[], None]] | None = None,
        exchange: Mapping[str, str] | None = None,
    ) -> None:
        """Write the files."""
        self._folder = folder
        self._guide = guide
        self._units = units or {}
        self._exchange = {
            **(exchange or {}),
            **{path: f"{folder}{path}" for path in ("/etc/checkout", "/srv/checkout", "/var/backups")},
        }
        for path in ("etc/checkout", "srv/checkout", "var/backups", "bin"):
            (folder / path).mkdir(parents=True)
        (folder / "srv/checkout/current").symlink_to(PROJECT)
        self._write_settings(administrator_url, redis_url)
        for name, url in (members or {"administrator": MysqlUrl.parse(administrator_url)}).items():
            self._write_option_file(name, url)
        self._write_programs()

    def release(self, name: str) -> None:
        """Link a release where the guide expects it."""
        (self._folder / "srv/checkout" / name).symlink_to(PROJECT)

    def run(self, section: str) -> str:
        """Run the commands of a section; returns their output."""
        asked_read, asked = os.pipe()
        done, done_write = os.pipe()
        commands = commands_of(self._guide, section)
        for name, here in self._exchange.items():
            commands = commands.replace(name, here)
        ask = "".join(ASK.format(command=command, asked=asked, done=done) for command in ("systemctl", "ssh"))
        shell = subprocess.Popen(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", ask + commands],
            env={**os.environ, "PATH": f"{self._folder}/bin:{os.environ['PATH']}"},
            pass_fds=(asked, done),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.close(asked)
        os.close(done)
        with os.fdopen(asked_read) as questions, os.fdopen(done_write, "w") as answers:
            for question in questions:
                self._units[question.strip()]()
                print("done", file=answers, flush=True)
        said, _ = shell.communicate(timeout=60)
        assert shell.returncode == 0, said
        return said

    def _write_settings(self, administrator_url: str, redis_url: str) -> None:
        settings = self._folder / "etc/checkout"
        (settings / "administrator.env").write_text(f"MYSQL_URL={shlex.quote(administrator_url)}\n")
        (settings / "service.env").write_text(f"REDIS_URL={shlex.quote(redis_url)}\n")

    def _write_option_file(self, name: str, url: MysqlUrl) -> None:
        unix_socket = url.options.get("unix_socket")
        ((host, port),) = url.hosts
        address = f"socket={unix_socket}" if unix_socket else f"host={host}\nport={port}"
        (self._folder / f"etc/checkout/{name}.cnf").write_text(
            f'[client]\nuser={url.user}\npassword="{url.password}"\n{address}\n'
        )

    def _write_programs(self) -> None:
        *loader, mysql = find_mysql_client()
        for name in ("mysql", "mysqldump"):
            program = self._folder / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join([*loader, str(Path(mysql).with_name(name))])} "$@"\n')
            program.chmod(0o700)
