"""The files of a deployment: the image, the containers, the systemd units."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from stack.process import free_port
from stack.programs import find_redis_server
from tests.deployment.programs import find

PROJECT = Path(__file__).resolve().parents[2]
UNITS = PROJECT / "deployment" / "systemd"
SERVICES: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]


def test_every_long_running_container_restarts_and_servers_have_health_checks() -> None:
    assert set(SERVICES) == {"mysql", "redis", "deploy", "service", "cron"}
    assert SERVICES["mysql"]["image"] == "mysql:9.7"
    assert SERVICES["redis"]["image"] == "redis:8"
    for name in ("mysql", "redis", "service"):
        assert SERVICES[name]["healthcheck"]["test"], name
    for name in ("mysql", "redis", "service", "cron"):
        assert SERVICES[name]["restart"] == "unless-stopped", name


def test_no_container_has_a_secret_on_its_command_line() -> None:
    for name, service in SERVICES.items():
        assert "PASSWORD" not in str(service.get("command", "")), name


def test_ports_are_published_on_loopback_only() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_image_runs_as_an_unprivileged_user_and_copies_existing_files() -> None:
    text = (PROJECT / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.M) == ["checkout"]
    copied = " ".join(re.findall(r"^COPY (.+) \S+$", text, re.M)).split()
    assert {"requirements.txt", "service", "sql", "migrations", "cron"} <= set(copied)
    assert all((PROJECT / name).exists() for name in copied)


def test_the_containers_and_the_units_run_every_job_of_the_crontab() -> None:
    jobs = set(re.findall(r"-m cron\.(\w+)", (PROJECT / "cron" / "crontab").read_text()))
    container = SERVICES["cron"]["command"][-1]
    units = "".join(path.read_text() for path in UNITS.glob("*.timer"))
    assert jobs
    for job in jobs:
        assert job in container, job
        assert job in units, job


def test_docker_compose_accepts_the_containers() -> None:
    compose = find("docker-compose", "docker-compose", "usr/bin/docker-compose")
    secrets = dict.fromkeys(re.findall(r"\$\{(\w+):\?", (PROJECT / "compose.yaml").read_text()), "secret")
    command = [*compose, "--file", str(PROJECT / "compose.yaml"), "--env-file", "/dev/null", "config", "--format=json"]
    accepted = subprocess.run(command, env={**os.environ, **secrets}, capture_output=True, text=True)
    assert accepted.returncode == 0, accepted.stderr
    assert "not set" not in accepted.stderr, "a variable without a default"
    assert json.loads(accepted.stdout)["services"].keys() == SERVICES.keys()
    for name in secrets:
        missing = {**secrets, name: ""}
        assert subprocess.run(command, env={**os.environ, **missing}, capture_output=True).returncode != 0, name


@pytest.fixture(scope="module")
def group_services() -> dict[str, Any]:
    """The containers with three members in the place of the one MySQL, as docker compose reads both files."""
    compose = find("docker-compose", "docker-compose", "usr/bin/docker-compose")
    files = [PROJECT / "compose.yaml", PROJECT / "deployment" / "group-replication" / "compose.yaml"]
    secrets = dict.fromkeys(re.findall(r"\$\{(\w+):\?", files[0].read_text()), "secret")
    command = [*compose, "--file", str(files[0]), "--file", str(files[1]), "--env-file", "/dev/null", "config"]
    accepted = subprocess.run(
        [*command, "--format=json"], env={**os.environ, **secrets}, capture_output=True, text=True, check=True
    )
    assert "not set" not in accepted.stderr, "a variable without a default"
    services: dict[str, Any] = json.loads(accepted.stdout)["services"]
    return services


def test_three_members_take_the_place_of_the_one_mysql(group_services: dict[str, Any]) -> None:
    assert group_services.keys() == SERVICES.keys() - {"mysql"} | {"db1", "db2", "db3"}
    for name in ("deploy", "service", "cron"):
        assert "@db1,db2,db3/checkout" in group_services[name]["environment"]["MYSQL_URL"], name
    for name in ("db1", "db2", "db3"):
        member = group_services[name]
        assert member["hostname"] == name
        assert (member["image"], member["user"]) == ("mysql:9.7", "mysql")
        assert (member["cap_drop"], member["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert (member["restart"], bool(member["healthcheck"]["test"])) == ("unless-stopped", True)
        assert {port["host_ip"] for port in member["ports"]} == {"127.0.0.1"}


def test_a_member_is_writable_only_while_its_image_makes_the_accounts(
    group_services: dict[str, Any], tmp_path: Path
) -> None:
    entrypoint = tmp_path / "docker-entrypoint.sh"
    entrypoint.write_text('#!/bin/sh\necho "$*"\n')
    entrypoint.chmod(0o700)
    shell, option, script, *arguments = group_services["db2"]["command"]
    script = script.replace("$$", "$").replace("/var/lib/mysql", str(tmp_path))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOSTNAME": "db2"}

    def start() -> str:
        command = [shell, option, script, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert start().endswith("--super-read-only=OFF --loose-group-replication-start-on-boot=OFF\n")
    (tmp_path / "mysql").mkdir()
    again = start()
    assert again.startswith("mysqld --server-id=2 --report-host=db2 ")
    assert "read-only" not in again


def test_every_container_is_unprivileged() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "build" in service or service["user"] != "root", name
        assert service.get("read_only") or name == "mysql", name
        assert "configs" not in service, f"{name}: compose cannot copy one into a container that is read only"


def test_the_redis_container_requires_the_password(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(find_redis_server())} "$@"\n')
    program.chmod(0o700)
    shell, option, script = SERVICES["redis"]["command"]
    port = free_port()
    script = script.replace("$$", "$").replace("appendonly", f"bind 127.0.0.1\nport {port}\nappendonly")
    environment = {**os.environ, "REDISCLI_AUTH": "letters4and2digits", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    server = subprocess.Popen([shell, option, script], env=environment, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(
            port=port, password=environment["REDISCLI_AUTH"], retry=Retry(ConstantBackoff(0.1), 100)
        ) as client:
            assert client.ping()
            assert client.config_get("save") == {"save": ""}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units as installed: each template as one of its instances, and with programs that exist."""
    instances = {"checkout": "8000", "checkout-cron": "sweep_due"}
    paths = []
    for unit in sorted(UNITS.iterdir()):
        text = re.sub(r"/srv/checkout/[^/]+/\.venv/bin/\w+", sys.executable, unit.read_text())
        name, at, kind = unit.name.partition("@")
        paths.append(tmp_path / f"{name}@{instances[name]}{kind}" if at else tmp_path / unit.name)
        paths[-1].write_text(text)
    (tmp_path / "checkout-cron@purge_history.service").write_text((UNITS / "checkout-cron@.service").read_text())
    return paths


def test_systemd_accepts_the_units(units: list[Path]) -> None:
    command = [*find("systemd-analyze", "systemd", "usr/bin/systemd-analyze"), "verify", "--man=no"]
    verified = subprocess.run([*command, *map(str, units)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr
    assert str(units[0].parent) not in verified.stderr


def test_systemd_rates_the_units_as_hardened(units: list[Path]) -> None:
    """Systemd's exposure level goes from 0 to 100; a service without hardening has 96."""
    command = [*find("systemd-analyze", "systemd", "usr/bin/systemd-analyze"), "security", "--offline=true"]
    for unit in units:
        if unit.suffix == ".service":
            rated = subprocess.run([*command, "--threshold=15", str(unit)], capture_output=True, text=True)
            assert rated.returncode == 0, rated.stdout
