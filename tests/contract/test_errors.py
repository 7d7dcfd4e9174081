"""Procedures, their headers, the service, docs/errors.md and the tests agree about errnos."""

import re
from pathlib import Path

import pytest

from docs.generate.accounts import PUBLIC_PROCEDURES
from docs.generate.routines import ROUTINES
from service.deploy import ROOT
from service.errors import ERRORS
from service.openapi import PATHS
from tests.contract.registry import REGISTRY, VERDICTS, answered, raised
from tests.procedures.arguments import NOT_FOUND

# These errnos cannot occur: the procedures pass on an array that they build themselves, without a customer.
UNREACHABLE = {"create_hold": {30105}, "get_hold": {30001}, "get_order": {30001}}
SIGNALLERS = {"raise_error", "verdict_errno"}
SHARED_TESTS = ("test_every_argument.py", "test_every_batch.py", "test_every_transaction.py", "test_reads.py")


def test_errnos_are_in_the_range_that_every_driver_reads_correctly() -> None:
    assert all(30001 <= errno <= 32767 for errno in REGISTRY)
    assert len(set(REGISTRY.values())) == len(REGISTRY)


def test_every_verdict_of_a_batch_is_registered() -> None:
    assert set(VERDICTS.values()) <= set(REGISTRY)


def test_only_two_routines_signal() -> None:
    signalling = [name for name, routine in ROUTINES.items() if re.search(r"(?<!RE)SIGNAL SQLSTATE", routine.statement)]
    assert signalling == ["raise_error", "raise_read_only"]


@pytest.mark.parametrize("name", sorted(set(ROUTINES) - SIGNALLERS))
def test_a_header_lists_the_errnos_that_its_routine_raises(name: str) -> None:
    assert ROUTINES[name].raised == raised(name) - UNREACHABLE.get(name, set())


@pytest.mark.parametrize("name", sorted(set(ROUTINES) - SIGNALLERS))
def test_a_header_lists_the_errnos_that_its_rows_carry(name: str) -> None:
    assert ROUTINES[name].answered == answered(name)


def test_headers_name_every_errno_by_its_slug() -> None:
    for routine in ROUTINES.values():
        for errno, slug in re.findall(r"\b(3\d{4}) (\w+)", routine.sections["Errors"]):
            assert REGISTRY[int(errno)] == slug, routine.name


def test_every_errno_is_raised_or_answered_by_a_public_procedure() -> None:
    public = [ROUTINES[name] for name in PUBLIC_PROCEDURES]
    assert set().union(*(routine.raised | routine.answered for routine in public)) == set(REGISTRY)


def test_the_service_knows_the_same_errnos_and_slugs() -> None:
    assert {errno: error.slug for errno, error in ERRORS.items()} == REGISTRY


def read_error_page() -> list[tuple[str, list[int], list[str]]]:
    """The slug, errno and HTTP statuses of each row of docs/errors.md; a dash stands for none."""
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \|", (ROOT / "docs" / "errors.md").read_text(), re.M)
    return [
        (slug, [int(number) for number in re.findall(r"\d+", errno)], re.findall(r"\d+", statuses))
        for slug, errno, statuses in rows
    ]


def test_the_error_page_has_every_errno_of_the_registry_once() -> None:
    documented = [(errno, slug) for slug, numbers, _ in read_error_page() for errno in numbers]
    assert sorted(documented) == sorted(REGISTRY.items())


def test_the_error_page_has_every_http_status_of_the_openapi_document() -> None:
    described = {
        (problem.partition(" ")[0], status)
        for path in PATHS.values()
        for operation in path.values()
        if "responses" in operation
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
        for problem in response["description"].split(", ")
    }
    documented = {(slug, status) for slug, _, statuses in read_error_page() for status in statuses}
    assert documented == described | {("method_not_allowed", "405"), ("internal_error", "500")}


@pytest.mark.parametrize("name", PUBLIC_PROCEDURES)
def test_every_errno_of_a_public_procedure_has_a_test_that_provokes_it(name: str) -> None:
    folder = ROOT / "tests" / "procedures"
    own = folder / f"test_{name}.py"
    texts = [path.read_text() for path in (own, *(folder / shared for shared in SHARED_TESTS)) if path.exists()]
    tried = {int(errno) for text in texts for errno in re.findall(r"\b3\d{4}\b", text)} | {NOT_FOUND.get(name)}
    assert ROUTINES[name].raised | ROUTINES[name].answered <= tried


def test_every_public_procedure_has_a_file_of_tests() -> None:
    folder = ROOT / "tests" / "procedures"
    tested = {path.stem.removeprefix("test_") for path in folder.glob("test_*.py")}
    reads = {f"get_{kind}{plural}" for kind in ("product", "hold", "order") for plural in ("", "s")}
    assert set(PUBLIC_PROCEDURES) - tested == reads
    assert Path(folder / "test_reads.py").exists()
