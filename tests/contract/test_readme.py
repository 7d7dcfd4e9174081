"""The README's commands, run in a fresh copy of the project, answer what the README shows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.servers import PROJECT
from tests.copies import Copy

CONSOLE = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?")


def read_examples(page: str) -> list[tuple[str, str]]:
    """Every command of a page's consoles, with the output that it shows."""
    examples = []
    for console in CONSOLE.findall((PROJECT / page).read_text()):
        for example in re.split(r"^\$ ", console, flags=re.M)[1:]:
            command, _, output = example.partition("\n")
            examples.append((command, output.strip()))
    return examples


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    """A fresh copy of the project."""
    fresh = Copy(tmp_path)
    yield fresh
    fresh.stop()


def test_every_command_of_the_readme_answers_what_the_readme_shows(copy: Copy) -> None:
    copy.start()
    examples = read_examples("README.md")
    assert len(examples) >= 12
    for command, expected in examples:
        ran = copy.run(command)
        assert ran.returncode == 0, ran.stderr
        assert MOMENT.sub("MOMENT", ran.stdout.strip()) == MOMENT.sub("MOMENT", expected), command
