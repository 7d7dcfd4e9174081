"""The README's commands, run in a fresh copy of the project, answer what the README shows."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?")


def read_examples() -> list[tuple[str, str]]:
    """Every command of the README's consoles, with the output that it shows."""
    examples = []
    for console in CONSOLE.findall((PROJECT / "README.md").read_text()):
        for example in re.split(r"^\$ ", console, flags=re.M)[1:]:
            command, _, output = example.partition("\n")
            examples.append((command, output.strip()))
    return examples


@pytest.fixture
def fresh_copy(tmp_path: Path) -> Path:
    """The project as git has it, in another folder, with the project's virtual environment."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (PROJECT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, tmp_path / name)
    if (PROJECT / ".venv").exists():
        (tmp_path / ".venv").symlink_to(PROJECT / ".venv")
    return tmp_path


@pytest.fixture
def running_copy(fresh_copy: Path) -> Iterator[tuple[Path, int]]:
    """`script/server` in a fresh copy, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PASSWORD"))}
    server = subprocess.Popen(
        ["script/server"],
        cwd=fresh_copy,
        env={**environment, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    said = []
    for line in server.stdout:
        said.append(line)
        if line.startswith("Ready: "):
            break
    else:
        pytest.fail("".join(said))
    yield fresh_copy, port
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=30) == 0


def test_every_command_of_the_readme_answers_what_the_readme_shows(running_copy: tuple[Path, int]) -> None:
    folder, port = running_copy
    examples = read_examples()
    assert len(examples) >= 12
    for command, expected in examples:
        shown = subprocess.run(
            ["bash", "-c", command.replace("127.0.0.1:8000", f"127.0.0.1:{port}")],
            cwd=folder,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        assert MOMENT.sub("MOMENT", shown) == MOMENT.sub("MOMENT", expected), command
