"""The reference of the public procedures and views, for docs/procedures.md, made from the headers of their files.

python -m tests.contract.reference > docs/procedures.md
"""

import re
from pathlib import Path

from service.deploy import ROOT, read_account_statements
from tests.contract.accounts import PUBLIC_PROCEDURES, procedures_of
from tests.contract.routines import ROUTINES, SECTIONS, RoutineFile

CALLERS = {"checkout_app": "the service", "checkout_cron": "cron", "checkout_operator": "operators"}
VIEWS = sorted((ROOT / "sql" / "views").glob("*.sql"))
READABLE = set(re.findall(r"GRANT SELECT ON (\w+) TO checkout_operator@", ";".join(read_account_statements())))
HEADER = """\
# Procedures and views

<!-- Generated: python -m tests.contract.reference > docs/procedures.md. A test fails when it differs. -->

What may be called and read, and by whom; `script/mysql` signs in as an operator. A refused CALL raises SQLSTATE 45000
with the errno and its slug ([errors](errors.md)). Times are UTC, whatever the time zones of server
and session are. The service calls the batch procedures, which take JSON; an operator has one for a single hold, order
or payment.
"""


def reference() -> str:
    """The page."""
    views = {path.stem: _view_header(path) for path in VIEWS if path.stem in READABLE}
    index = [
        f"| [`{name}`](#{name}) | {header[0].partition(': ')[2].removesuffix('.')} |" for name, header in views.items()
    ]
    index += [f"| [`{name}`](#{name}) | {ROUTINES[name].purpose} |" for name in PUBLIC_PROCEDURES]
    return (
        "\n".join(
            [
                HEADER,
                *("| name | |", "| --- | --- |", *index, ""),
                "## Views\n",
                *(_view(name, header) for name, header in views.items()),
                "## Procedures\n",
                *(_procedure(ROUTINES[name]) for name in PUBLIC_PROCEDURES),
            ]
        ).rstrip("\n")
        + "\n"
    )


def _procedure(routine: RoutineFile) -> str:
    parameters = ", ".join(re.findall(r"\bIN (\w+) ", routine.text.partition("COMMENT '")[0]))
    callers = [words for account, words in CALLERS.items() if routine.name in procedures_of(account)]
    title, *rest = routine.header
    first = next(number for number, line in enumerate(rest) if line.startswith(SECTIONS))
    return _section(
        routine.name,
        title,
        rest[:first],
        [f"CALL {routine.name}({parameters})", "", *rest[first:]],
        f"Called by {', '.join(callers)}.",
    )


def _view(name: str, header: list[str]) -> str:
    title, *rest = header
    first = next(number for number, line in enumerate(rest) if line.startswith("Columns"))
    return _section(name, title, rest[:first], [f"SELECT * FROM {name}", "", *rest[first:]], "")


def _section(name: str, title: str, notes: list[str], facts: list[str], callers: str) -> str:
    purpose = title.partition(": ")[2]
    told = " ".join(filter(None, [purpose[0].upper() + purpose[1:], " ".join(filter(None, notes)), callers]))
    return "\n".join([f"### {name}", "", told, "", "```text", *facts, "```", ""])


def _view_header(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line.removeprefix("--").removeprefix(" ") for line in lines if line.startswith("--")]


if __name__ == "__main__":
    print(reference(), end="")
