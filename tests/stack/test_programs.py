"""Which mysqld the stack chooses."""

from pathlib import Path

import pytest

from stack import programs


@pytest.mark.parametrize(
    ("version", "is_used"),
    [
        ("Ver 9.7.4 for Linux on x86_64 (MySQL Community Server - GPL)", True),
        ("Ver 8.4.0 for Linux on x86_64 (MySQL Community Server - GPL)", True),
        ("Ver 8.0.44 for Linux on x86_64 (MySQL Community Server - GPL)", False),
        ("Ver 10.11.16-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)", False),
    ],
)
def test_a_mysqld_on_path_is_used_unless_it_is_too_old_or_mariadb(
    version: str, is_used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian calls MariaDB's server mysqld too; our procedures need MySQL 8.4."""
    mysqld = tmp_path / "mysqld"
    mysqld.write_text(f"#!/bin/sh\necho '{mysqld}  {version}'\n")
    mysqld.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (programs.find_mysqld().command == [str(mysqld)]) is is_used
