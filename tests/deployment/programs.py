"""Programs of an operator's machine: from PATH, else Debian's, unpacked into the cache."""

import shutil

from stack import packages


def find(name: str, package: str, path: str) -> list[str]:
    """How to run a program that a package has under a path."""
    found = shutil.which(name)
    return [found] if found else packages.command([package], path)
