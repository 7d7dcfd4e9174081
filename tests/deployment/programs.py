"""Programs of an operator: from PATH, else from Debian's packages, unpacked into the cache."""

import shutil

from stack import packages


def find(name: str, package: str, path: str) -> list[str]:
    """The command of a program: on PATH, else at a path of a package."""
    found = shutil.which(name)
    return [found] if found else packages.command([package], path)
