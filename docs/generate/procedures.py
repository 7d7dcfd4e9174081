"""Generates docs/procedures.md: the public procedures and views, from the headers of their files and a small sale.

    python -m docs.generate.procedures > docs/procedures.md

Each section shows the statements of docs/generate/sale.py that use the procedure or the view, with their output. The
sale runs on a private MySQL, or in a database of its own on the server that MYSQL_URL names.
"""

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.generate.accounts import PUBLIC_PROCEDURES, procedures_of
from docs.generate.database import new_database_for_a_document
from docs.generate.routines import ROUTINES, SECTIONS, RoutineFile
from docs.generate.sale import SALE, START_S
from service.deploy import ROOT, read_account_statements
from service.mysql_url import MysqlUrl
from stack.files import write_private
from stack.programs import find_mysql_client
from stack.serve import client_option_file

CALLERS = {"checkout_app": "the service", "checkout_cron": "cron", "checkout_operator": "operators"}
VIEWS = sorted((ROOT / "sql" / "views").glob("*.sql"))
SECRET = re.compile(r"whsec_[\w+/]{43}=")  # made of random bytes
SAMPLE_SECRET = f"whsec_{'x' * 43}="
READABLE = set(re.findall(r"GRANT SELECT ON (\w+) TO checkout_operator@", ";".join(read_account_statements())))
HEADER = """\
# Procedures and views

<!-- Generated: python -m docs.generate.procedures > docs/procedures.md. A test fails if this file differs. -->

This page documents every procedure that may be called and every view that may be read, and says by whom. `script/mysql`
signs in as an operator. A CALL that is refused raises SQLSTATE 45000 with an errno and its name, see
[errors](errors.md). Times are UTC, whatever the time zones of the server and the session are. The service calls the
batch procedures, which take JSON; for a single hold, order or payment an operator calls the procedure without the s.

The examples are one small sale, which begins at 12:00 in an empty database. Their output is real.
"""

Samples = dict[str, list[str]]


def write_page(database: MysqlUrl) -> str:
    """The page; the sale runs in the database, which must be empty."""
    samples = run_sale(database)
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
                *(_view(name, header, samples[name]) for name, header in views.items()),
                "## Procedures\n",
                *(_procedure(ROUTINES[name], samples[name]) for name in PUBLIC_PROCEDURES),
            ]
        ).rstrip("\n")
        + "\n"
    )


def run_sale(database: MysqlUrl) -> Samples:
    """Run the statements of the sale; returns what the mysql client shows, by the name of the procedure or view."""
    samples = defaultdict(list)
    with TemporaryDirectory() as folder:
        option_file = Path(folder) / "client.cnf"
        write_private(option_file, client_option_file(database))
        client = [*find_mysql_client(), f"--defaults-file={option_file}", "--table"]
        for seconds, statement in SALE:
            ran = subprocess.run(
                [*client, "--execute", f"SET timestamp = {START_S + seconds}; {statement}"],
                capture_output=True,
                check=True,
                text=True,
            )
            prompt = f"mysql> {statement};".replace("\n", "\n    -> ")
            samples[used_by(statement)].append(f"{prompt}\n{SECRET.sub(SAMPLE_SECRET, ran.stdout)}".rstrip())
    return samples


def used_by(statement: str) -> str:
    """The procedure that a statement calls, or the view that it reads."""
    (name,) = re.findall(r"^(?:CALL|SELECT \* FROM) (\w+)", statement)
    return str(name)


def _procedure(routine: RoutineFile, samples: list[str]) -> str:
    parameters = ", ".join(re.findall(r"\bIN (\w+) ", routine.text.partition("COMMENT '")[0]))
    callers = [words for account, words in CALLERS.items() if routine.name in procedures_of(account)]
    title, *rest = routine.header
    first = next(number for number, line in enumerate(rest) if line.startswith(SECTIONS))
    return _section(
        routine.name,
        title,
        notes=[*rest[:first], f"Called by {', '.join(callers)}."],
        facts=[f"CALL {routine.name}({parameters})", "", *rest[first:]],
        samples=samples,
    )


def _view(name: str, header: list[str], samples: list[str]) -> str:
    title, *rest = header
    first = next(number for number, line in enumerate(rest) if line.startswith("Columns"))
    return _section(
        name, title, notes=rest[:first], facts=[f"SELECT * FROM {name}", "", *rest[first:]], samples=samples
    )


def _section(name: str, title: str, *, notes: list[str], facts: list[str], samples: list[str]) -> str:
    purpose = title.partition(": ")[2]
    text = " ".join([purpose[0].upper() + purpose[1:], *filter(None, notes)])
    blocks = ["```text", *facts, "```", "", "```console", "\n\n".join(samples), "```"]
    return "\n".join([f"### {name}", "", text, "", *blocks, ""])


def _view_header(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line.removeprefix("--").removeprefix(" ") for line in lines if line.startswith("--")]


def main() -> None:
    """Print the page."""
    with new_database_for_a_document() as url:
        page = write_page(url)
    print(page, end="")


if __name__ == "__main__":
    main()
