"""The documents agree with the code: links, settings with defaults and bounds, alerts, and the generated page."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
import yaml

from docs.generate.accounts import PUBLIC_PROCEDURES
from docs.generate.database import new_database
from docs.generate.procedures import READABLE, VIEWS, used_by, write_page
from docs.generate.sale import SALE
from service.deploy import ROOT
from service.settings import Settings
from stack.servers import Servers
from tests.support import Session

FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
EXTERNAL = ("https://", "http://", "mailto:")
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    if (ROOT / name).exists()
)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its header and without backquotes."""
    section = (ROOT / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_has_a_target(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith(EXTERNAL):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_every_test_that_a_page_names_exists() -> None:
    named = {test for page in PAGES for test in re.findall(r"`(test_\w+)`", page.read_text())}
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert named - set(re.findall(r"def (test_\w+)\(", tests)) == set()


def test_the_readme_links_to_every_page_of_docs() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text()))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def test_the_page_of_procedures_is_what_their_headers_and_the_sale_generate(servers: Servers) -> None:
    with new_database(servers.mysql_url) as url:
        assert (ROOT / "docs" / "procedures.md").read_text() == write_page(url), (
            "generate it again: python -m docs.generate.procedures > docs/procedures.md"
        )


def test_the_sale_has_a_statement_for_every_public_procedure_and_every_readable_view() -> None:
    views = {path.stem for path in VIEWS} & READABLE
    assert {used_by(statement) for _, statement in SALE} == {*PUBLIC_PROCEDURES, *views}


def test_every_alert_links_to_its_section_of_the_runbook() -> None:
    groups = yaml.safe_load((ROOT / "deployment" / "prometheus" / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"]: rule["annotations"]["runbook"] for group in groups for rule in group["rules"]}
    section = (ROOT / "docs" / "runbook.md").read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.M) == list(alerts)
    assert alerts == {name: f"docs/runbook.md#{name.lower()}" for name in alerts}


def test_the_settings_page_has_every_variable_of_the_service_with_its_default() -> None:
    documented = {name: default for name, default, _ in rows("docs/settings.md", "Service")}
    expected = {}
    for field in msgspec.structs.fields(Settings):
        default = (
            ""
            if field.default is msgspec.NODEFAULT
            else f"{field.default:g}"
            if isinstance(field.default, float)
            else str(field.default)
        )
        expected[field.encode_name] = default or "none"
    expected["WEB_CONCURRENCY"] = "number of cores"
    assert documented == expected


def test_env_example_has_the_variables_and_defaults_of_the_settings_page() -> None:
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    service = {name: default for name, default, _ in rows("docs/settings.md", "Service")}
    others = {name for names, _ in rows("docs/settings.md", "Commands") for name in names.split(", ")}
    assert set(example) == set(service) | others
    examples_only = {"MYSQL_URL", "REDIS_URL", "WEB_CONCURRENCY"}
    for name in set(service) - examples_only:
        assert example[name] == service[name].replace("none", ""), name


def test_the_settings_page_has_every_row_of_the_settings_table_with_default_and_bounds(session: Session) -> None:
    documented = {
        row[0]: tuple(int(number.replace(",", "")) for number in row[1:4])
        for row in rows("docs/settings.md", "Deadlines and retention")
    }
    deployed = session.query("SELECT name, value, minimum, maximum FROM settings")
    assert documented == {row["name"]: (row["value"], row["minimum"], row["maximum"]) for row in deployed}
