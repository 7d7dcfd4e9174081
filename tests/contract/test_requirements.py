"""Each program's requirements file names every package that the program imports."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from service.deploy import ROOT

REQUIREMENTS = {
    "service": "requirements.txt",
    "cron": "requirements.txt",
    "stack": "requirements.txt",
    "top": "requirements-top.txt",
    "demo": "requirements-demo.txt",
    "bench": "requirements-dev.txt",
    "docs": "requirements-dev.txt",
    "tests": "requirements-dev.txt",
}
TRACING = Path("service/tracing.py")


def normalised(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required_by(file: Path) -> set[str]:
    """The distributions that a requirements file and the files that it includes name."""
    text = file.read_text()
    names = {normalised(name) for name in re.findall(r"^([\w.-]+)==", text, re.M)}
    return names.union(*(required_by(file.parent / included) for included in re.findall(r"^-r (\S+)$", text, re.M)))


def imported_by(module: Path) -> set[str]:
    """The top-level names that a module imports, except those of the project and of Python."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    return {name for name in names if name not in {*sys.stdlib_module_names, *REQUIREMENTS}}


@pytest.mark.parametrize("folder", REQUIREMENTS)
def test_every_import_of_a_program_is_in_its_requirements_file(folder: str) -> None:
    distributions = packages_distributions()
    required = required_by(ROOT / REQUIREMENTS[folder])
    for path in sorted((ROOT / folder).rglob("*.py")):
        module = path.relative_to(ROOT)
        allowed = required_by(ROOT / "requirements-traces.txt") if module == TRACING else required
        for name in imported_by(path):
            assert {normalised(each) for each in distributions.get(name, [])} & allowed, f"{module} imports {name}"
