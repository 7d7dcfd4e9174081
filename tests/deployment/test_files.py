"""What a deployment is made of: the image, the containers, the units of systemd."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
UNITS = PROJECT / "deployment" / "systemd"
SERVICES: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]


def test_every_container_that_stays_is_restarted_and_the_servers_have_health_checks() -> None:
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


def test_ports_are_open_to_this_machine_only() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_image_ends_as_a_user_without_rights_and_copies_what_exists() -> None:
    text = (PROJECT / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.M) == ["checkout"]
    copied = re.findall(r"^COPY (\S+) ", text, re.M)
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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on PATH")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    names = {
        "checkout-cron@.service": "checkout-cron@purge_history.service",
        "checkout-cron@.timer": "checkout-cron@sweep_due.timer",
    }
    paths = []
    for unit in sorted(UNITS.iterdir()):
        text = re.sub(r"/srv/checkout/\.venv/bin/\w+", sys.executable, unit.read_text())
        (tmp_path / unit.name).write_text(text)
        paths.append(tmp_path / names.get(unit.name, unit.name))
    for path in paths:
        if not path.exists():
            path.write_text((tmp_path / re.sub("@.*\\.", "@.", path.name)).read_text())
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, paths)], capture_output=True, text=True
    )
    assert verified.returncode == 0, verified.stderr
    assert str(tmp_path) not in verified.stderr
