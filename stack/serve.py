"""The whole stack in the foreground: MySQL and Redis, the deploy, gunicorn. What `script/server` runs."""

import argparse
import json
import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

import mysql.connector

from service.deploy import predates_baseline
from service.errors import SettingsError
from service.mysql_url import MysqlUrl
from service.primary import find_primary
from service.settings import load_environment
from stack import servers
from stack.errors import StackError
from stack.files import write_private
from stack.group import Group
from stack.gunicorn import GunicornServer
from stack.members import listening
from stack.process import Server, port_is_free, run
from stack.programs import find_mysql_client
from stack.servers import PROJECT, Servers, start_timed

DATABASE = "checkout"
ACCOUNTS = ("checkout_app", "checkout_cron", "checkout_dba")
BUFFER_POOL_MIB = 1024
MEMBER_BUFFER_POOL_MIB = 64
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

OPERATOR_CNF = """\
# Written at every start of script/server, read by script/mysql.
[client]
user = {user}
password = "{password}"
{address}
[mysql]
database = {database}
default-character-set = utf8mb4
init-command = "SET time_zone = '+00:00'"
"""


def serve(members: int) -> NoReturn:
    """Start everything, say so, and wait for a signal; raises when a server ends by itself.

    With several members MySQL is a group of so many servers, of which any may end.
    """
    given = dict(os.environ)  # the service reads .env itself, again when it is told to reload
    load_environment()
    host, port = _address()
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if members > 1 and os.environ.get("MYSQL_URL"):
        raise StackError("--members starts private MySQL servers: unset MYSQL_URL")
    buffer_pool_mib = MEMBER_BUFFER_POOL_MIB if members > 1 else BUFFER_POOL_MIB
    with servers.start("server", buffer_pool_mib=buffer_pool_mib, members=members) as running, ExitStack() as started:
        administrator = MysqlUrl.parse(running.mysql_url)
        administrator = administrator.for_database(administrator.database or DATABASE)
        if not os.environ.get("MYSQL_URL"):
            drop_database_from_before_baseline(administrator)
        passwords = _passwords(running.folder)
        _deploy(administrator, passwords)
        _write_operator_files(running, administrator, passwords, url)
        application = str(administrator.for_account("checkout_app", passwords["checkout_app"]))
        # The service is not to know the passwords of other accounts.
        environment = {name: value for name, value in given.items() if not name.endswith("_PASSWORD")}
        environment |= {"MYSQL_URL": application, "REDIS_URL": running.redis_url}
        gunicorn = GunicornServer("gunicorn", running.folder / "gunicorn", (host, port), environment)
        gunicorn.kill_leftover()
        if not port_is_free(host, port):  # gunicorn itself would try for seconds
            raise StackError(f"port {port} is in use by another program: choose another, PORT=8001 script/server")
        started.callback(gunicorn.stop)
        start_timed(gunicorn)
        if members > 1:
            started.enter_context(listening(running.group, running.folder / "sockets"))
        print(f"Ready: {url}/api/products/1", flush=True)
        _wait_for_an_end([gunicorn, *running.private])


def _address() -> tuple[str, int]:
    """Where to listen, of the same variables and defaults as the service."""
    port = os.environ.get("PORT") or "8000"
    if not port.isdecimal():
        raise StackError(f"PORT: expected a number, got {port!r}")
    return os.environ.get("HOST") or "127.0.0.1", int(port)


def drop_database_from_before_baseline(administrator: MysqlUrl) -> None:
    """Drop the private database if no release can upgrade it: it holds what somebody tried out."""
    server = find_primary(administrator.for_database("")).driver_options()
    with mysql.connector.connect(**server, use_pure=True) as connection, connection.cursor() as cursor:
        if predates_baseline(cursor, administrator.database):
            print(
                f"Dropping the private database {administrator.database}: it was made before release 0.9.0", flush=True
            )
            cursor.execute(f"DROP DATABASE `{administrator.database}`")


def _deploy(administrator: MysqlUrl, passwords: Mapping[str, str]) -> None:
    started_at = time.monotonic()
    environment = {**os.environ, "MYSQL_URL": str(administrator)}
    environment.update({f"{account.upper()}_PASSWORD": password for account, password in passwords.items()})
    run([sys.executable, "-m", "service.deploy", "--seed"], environment=environment)
    print(f"Deployed in {time.monotonic() - started_at:.1f} s", flush=True)


def _passwords(folder: Path) -> dict[str, str]:
    """The accounts' passwords: the environment's, else those of the last run, else new ones."""
    file = folder / "passwords.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    passwords = {
        account: os.environ.get(f"{account.upper()}_PASSWORD") or kept.get(account) or secrets.token_urlsafe(24)
        for account in ACCOUNTS
    }
    write_private(file, json.dumps(passwords))
    return passwords


def _write_operator_files(
    running: Servers, administrator: MysqlUrl, passwords: Mapping[str, str], service_url: str
) -> None:
    """What script/mysql, script/top and script/demo read, and the environment of a cron program run by hand."""
    operator = administrator.for_account("checkout_dba", passwords["checkout_dba"])
    write_private(running.folder / "operator.cnf", client_option_file(operator))
    program = ["mysql"] if os.environ.get("MYSQL_URL") else find_mysql_client()
    client = shlex.join([*program, f"--defaults-file={running.folder}/operator.cnf"])
    find_host = ""
    if len(operator.hosts) > 1:
        python = shlex.join(["env", f"PYTHONPATH={PROJECT}", sys.executable])
        find_host = f"primary=$({python} -m stack.primary {shlex.quote(f'{running.folder}/operator.env')}) || exit\n"
        client += " $primary"
    write_private(running.folder / "mysql-client", f'#!/bin/sh\n{find_host}exec {client} "$@"\n', mode=0o700)
    write_private(running.folder / "operator.env", f"MYSQL_URL='{operator}'\nSERVICE_URL='{service_url}'\n")
    cron = administrator.for_account("checkout_cron", passwords["checkout_cron"])
    write_private(running.folder / "cron.env", f"MYSQL_URL='{cron}'\nREDIS_URL='{running.redis_url}'\n")


def client_option_file(url: MysqlUrl) -> str:
    """An option file with which the mysql client connects to the database of a URL, its session in UTC."""
    unix_socket = url.options.get("unix_socket")
    (host, port), *others = url.hosts
    if others:
        address = []  # stack.primary finds it
    elif unix_socket:
        address = [f"socket = {unix_socket}"]
    else:
        address = [f"host = {host}", f"port = {port}"]
    if "ssl_ca" in url.options:
        address.append(f"ssl-ca = {url.options['ssl_ca']}")
        is_identity_checked = url.options.get("ssl_verify_identity") != "false"
        address.append(f"ssl-mode = {'VERIFY_IDENTITY' if is_identity_checked else 'VERIFY_CA'}")
    return OPERATOR_CNF.format(
        user=url.user,
        password=url.password.replace("\\", "\\\\"),
        address="\n".join(address),
        database=url.database,
    )


def _wait_for_an_end(started: Sequence[Server | Group]) -> NoReturn:
    """Wait until a server ends, which none should but the members of a group."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        for server in started:
            for one in server.members if isinstance(server, Group) else [server]:
                if ended and one.process_id == ended.si_pid and not one.is_running():
                    if one is server:
                        raise StackError(one.exit_message())
                    print(f"{one.name} ended (exit code {one.exit_code()})", flush=True)


def _stop(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    """Stop once: a second Ctrl-C does not cut the orderly stop short, whose steps all have a time limit."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.write(sys.stdout.fileno(), "Stopping …\n".encode())  # a print may be under way
    raise KeyboardInterrupt


def main() -> None:
    """Serve until a signal comes, exit code 0, or until something fails, exit code 1."""
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    parser = argparse.ArgumentParser(
        prog="script/server",
        description="Start MySQL, Redis and the service, and stop them at Ctrl-C.",
        epilog="Settings, such as PORT, come from the environment or .env; .env.example explains them. The data stays"
        " in .local/server.",
    )
    parser.add_argument(
        "--members",
        type=int,
        default=1,
        help="number of MySQL servers (default: 1); several form a group that goes on when one of them dies",
    )
    arguments = parser.parse_args()
    try:
        serve(arguments.members)
    except (StackError, SettingsError) as error:
        sys.exit(f"script/server: {error}")
    except KeyboardInterrupt:
        print("Stopped", flush=True)
