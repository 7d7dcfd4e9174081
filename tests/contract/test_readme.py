"""The commands of the README and of the quick start, run in a fresh copy of the project, print what the pages show."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.servers import PROJECT
from tests.project_copy import Copy

# A console holds commands with their outputs; a script is run whole, and the block behind it shows its output.
BLOCK = re.compile(r"^```console\n(.*?)^```$|^```sh\n(.*?)^```\n\n```\w+\n(.*?)^```$", re.M | re.S)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?")


def read_examples(page: str) -> list[tuple[str, str]]:
    """Every command and script of a page, with the output that it shows."""
    examples = []
    for console, script, shown in BLOCK.findall((PROJECT / page).read_text()):
        if script:
            examples.append((script, shown.strip()))
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


def run_examples(copy: Copy, examples: list[tuple[str, str]]) -> None:
    """Run commands one after another, each in a new shell, and compare their output with the page."""
    for command, expected in examples:
        if command == "script/server":
            assert expected.rpartition("\n")[2].replace("8000", str(copy.port)) in copy.start()
            continue
        ran = copy.run(command)
        assert ran.returncode == 0, ran.stderr
        assert MOMENT.sub("MOMENT", ran.stdout.strip()) == MOMENT.sub("MOMENT", expected), command


def test_every_command_of_the_readme_prints_what_the_readme_shows(copy: Copy) -> None:
    copy.start()
    examples = read_examples("README.md")
    assert len(examples) >= 12
    run_examples(copy, examples)


def test_every_command_of_the_quick_start_prints_what_the_page_shows(copy: Copy) -> None:
    examples = read_examples("docs/quick-start.md")
    assert any("webhook-signature" in command and '"paid"' in shown for command, shown in examples)
    assert len(examples) >= 8
    run_examples(copy, examples)
