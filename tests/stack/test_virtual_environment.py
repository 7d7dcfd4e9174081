"""Virtual environments are created once, and again when their requirements change."""

import subprocess
from pathlib import Path

import pytest

from stack.virtual_environment import bring_up_to_date


def test_an_environment_is_made_once_for_the_same_requirements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requirements, folder = tmp_path / "requirements.txt", tmp_path / "environment"
    requirements.write_text("# nothing\n")
    python = bring_up_to_date(requirements, folder)
    said = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
    assert said.stdout.strip() == str(folder)
    assert "Installed requirements.txt" in capsys.readouterr().out

    assert bring_up_to_date(requirements, folder) == python
    assert capsys.readouterr().out == ""

    requirements.write_text("# nothing else\n")
    bring_up_to_date(requirements, folder)
    assert "Installed requirements.txt" in capsys.readouterr().out
