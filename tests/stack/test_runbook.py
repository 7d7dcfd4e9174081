"""Every command of docs/runbook.md works on a stack that `script/server` runs."""

import re
import shlex

import pytest

from stack.servers import PROJECT
from tests.project_copy import Copy

RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text()
SCRIPT = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


def read_statements() -> list[str]:
    """The SQL statements in the text and the tables of the runbook, without duplicates."""
    found = re.findall(r"`((?:SELECT|CALL) [^`]*[^`\s])`", SCRIPT.sub("", RUNBOOK))
    return sorted({statement for statement in found if "(" in statement or statement.startswith("SELECT")})


@pytest.mark.parametrize("statement", read_statements())
def test_an_operator_may_run_every_statement_of_the_runbook(copy: Copy, statement: str) -> None:
    """A procedure may refuse it, because the rows that it names need not exist."""
    ran = copy.run(f"script/mysql -e {shlex.quote(statement)}")
    assert ran.returncode == 0 or "(45000)" in ran.stderr, ran.stderr


@pytest.mark.parametrize("script", SCRIPT.findall(RUNBOOK))
def test_every_script_of_the_runbook_works(copy: Copy, script: str) -> None:
    ran = copy.run(f"set -e\n{script}")
    assert ran.returncode == 0, ran.stderr
