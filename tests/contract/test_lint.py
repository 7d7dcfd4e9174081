"""The linters report nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.deploy import ROOT

COMMANDS = [
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("sqlfluff", "lint", "--disable-progress-bar", "sql", "migrations"),
]

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_linter_finds_nothing(command: tuple[str, ...]) -> None:
    program = Path(sys.executable).parent / command[0]
    finished = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_sqlfluff_fails_on_sql_that_it_cannot_parse(tmp_path: Path) -> None:
    """Otherwise it would skip what it cannot parse."""
    broken = tmp_path / "broken.sql"
    broken.write_text("CREATE PROCEDURE broken()\nBEGIN\n    SELECT 1 FROM;\nEND\n")
    program = Path(sys.executable).parent / "sqlfluff"
    command = [str(program), "lint", "--config", str(ROOT / ".sqlfluff"), "--disable-progress-bar", str(broken)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode != 0
    assert "PRS" in finished.stdout
