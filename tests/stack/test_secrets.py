"""Passwords and secrets appear in no log, process list, response or error message."""

import json
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import format_exception
from urllib.parse import quote

import pytest

from service.cache import connect_redis
from service.errors import SettingsError
from service.mysql_url import MysqlUrl
from tests.project_copy import WEBHOOK_SECRET, Copy

LOOK_INTERVAL_S = 0.005
SMALL_BYTES = 16 << 20  # larger files are MySQL's tables and redo logs
PRIVATE_FILES = {"passwords.json", "operator.cnf", "operator.env", "cron.env", "init.sql", "redis.conf"}
JOBS = ("check_stock", "refresh_availability")
HOLD = "curl -s http://127.0.0.1:8000/api/holds -H 'Content-Type: application/json' -d"


@pytest.fixture(scope="module")
def secrets(copy: Copy) -> set[str]:
    """All secrets of the running stack, read from its private files."""
    local = copy.folder / ".local" / "server"
    passwords = json.loads((local / "passwords.json").read_text()).values()
    administrator = re.search(r"IDENTIFIED BY '(.+?)'", (local / "mysql" / "init.sql").read_text())
    redis = re.search(r"^requirepass (.+)$", (local / "redis" / "redis.conf").read_text(), re.M)
    assert administrator
    assert redis
    return {WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_"), *passwords, administrator[1], redis[1]}


@contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """The command lines of all processes of this machine while the block runs."""
    seen: set[str] = set()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_INTERVAL_S):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(FileNotFoundError, ProcessLookupError):
                    seen.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def assert_without(secrets: set[str], text: str, where: object) -> None:
    """Check that a text has none of the secrets, neither plain nor percent-encoded."""
    found = [secret for secret in secrets if secret in text or quote(secret, safe="") in text]
    assert found == [], f"in {where}"


def test_no_command_shows_a_secret_in_its_output_or_on_a_command_line(copy: Copy, secrets: set[str]) -> None:
    said = {}
    with watched_command_lines() as command_lines:
        for command in (
            "script/mysql -e 'CALL check_stock()'",
            "script/mysql -e 'CALL no_such_procedure()'",
            "script/mysql -e 'SHOW GRANTS; SHOW PROCESSLIST'",
            f'{HOLD} \'{{"product_id":1,"quantity":1}}\'',
            f"{HOLD} nonsense",
            "curl -s http://127.0.0.1:8000/readyz",
            "curl -s http://127.0.0.1:8000/metrics",
            "curl -s http://127.0.0.1:8000/openapi.json",
            *(f"set -a; . .local/server/cron.env; .venv/bin/python -m cron.{job} --once" for job in JOBS),
        ):
            ran = copy.run(command)
            said[command] = ran.stdout + ran.stderr
    for command, text in said.items():
        assert_without(secrets, text, command)
    assert any("mysqld" in line for line in command_lines)
    assert any("cron.check_stock" in line for line in command_lines)
    for line in command_lines:
        assert_without(secrets, line, "a command line")


def test_only_private_files_hold_secrets(copy: Copy, secrets: set[str]) -> None:
    local = copy.folder / ".local"
    files = [path for path in local.rglob("*") if path.is_file() and path.stat().st_size < SMALL_BYTES]
    assert {"output", "error.log", "redis.log", "binlog.index", *PRIVATE_FILES} <= {path.name for path in files}
    for path in files:
        if path.name in PRIVATE_FILES:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        else:
            assert_without(secrets, path.read_bytes().decode(errors="replace"), path)


@pytest.fixture(scope="module")
def idle_copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy whose stack does not run."""
    return Copy(tmp_path_factory.mktemp("idle"))


PASSWORD = "hunter2/hunter3"
MYSQL_URLS = {
    "wrong password": "mysql://checkout_app:{quoted}@127.0.0.1:{port}/checkout",
    "no port": "mysql://checkout_app:{quoted}@127.0.0.1:hunter4/checkout",
    "another scheme": "postgresql://checkout_app:{quoted}@127.0.0.1/checkout",
    "not encoded": "mysql://checkout_app:{password}@127.0.0.1/checkout",
    "brackets": "mysql://checkout_app:hunter2[@127.0.0.1/checkout",
    "no plain characters": "mysql://checkout_app:hunter2\u2100@127.0.0.1/checkout",
}
REDIS_URLS = ("redis://:hunter/2@127.0.0.1/0", "redis://:hunter[@127.0.0.1/0", "http://:hunter2@127.0.0.1/0", "hunter")
PROGRAMS = {
    "deploy": ".venv/bin/python -m service.deploy",
    "cron": ".venv/bin/python -m cron.refresh_availability --once",
    "script/server": ".venv/bin/python -m stack",
    "service": ".venv/bin/python -m gunicorn -c gunicorn.conf.py 'service.app:create_app()'",
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["wrong password", "no plain characters"])
def test_a_failed_start_shows_no_password(copy: Copy, idle_copy: Copy, program: str, kind: str) -> None:
    port = re.search(r"^port += (\d+)", (copy.folder / ".local/server/mysql/my.cnf").read_text(), re.M)
    assert port
    url = MYSQL_URLS[kind].format(quoted=quote(PASSWORD, safe=""), port=port[1])
    ran = idle_copy.run(f"MYSQL_URL='{url}' REDIS_URL=redis://:hunter5@127.0.0.1:1/0 {PROGRAMS[program]}")
    said = ran.stdout + ran.stderr
    assert ran.returncode == 1
    assert "hunter" not in said
    assert "Traceback" not in said
    assert ("checkout_app" if kind == "wrong password" else "MYSQL_URL") in said


@pytest.mark.parametrize("kind", sorted(set(MYSQL_URLS) - {"wrong password"}))
def test_an_invalid_mysql_url_is_not_shown(kind: str) -> None:
    url = MYSQL_URLS[kind].format(quoted=quote(PASSWORD, safe=""), password=PASSWORD)
    with pytest.raises(SettingsError, match="MYSQL_URL") as refused:
        MysqlUrl.parse(url)
    assert "hunter" not in "".join(format_exception(refused.value))


@pytest.mark.parametrize("url", REDIS_URLS)
def test_an_invalid_redis_url_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL") as refused:
        connect_redis(url)
    assert "hunter" not in "".join(format_exception(refused.value))
