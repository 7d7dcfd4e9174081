"""No public procedure cuts or converts an invalid argument in silence, whatever the caller's sql_mode is."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from docs.generate.accounts import PUBLIC_PROCEDURES
from docs.generate.routines import ROUTINES
from tests.procedures.arguments import (
    ARGUMENTS,
    BATCHES,
    BEYOND_EVERY_ID,
    LOOKUPS,
    NOT_FOUND,
    NUMBERS,
    checksums,
    errno_of,
    wrong_for,
)
from tests.support import Session

INVALID_REQUEST = 30001
REFUSED_BY_STRICT_MYSQL = {1264, 1292, 1406}  # out of range, no date, data too long
WITHOUT_ARGUMENTS = {"check_stock", "enable_sweep", "get_health", "get_metrics", "list_event_receivers"}


def test_every_public_procedure_is_tried() -> None:
    batches = {name for name in PUBLIC_PROCEDURES if " JSON" in ROUTINES[name].sections["In"]}
    assert set(ARGUMENTS) | WITHOUT_ARGUMENTS | batches == set(PUBLIC_PROCEDURES)
    assert set(BATCHES) == batches


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """Numbers for keys that no other case uses."""
    return count()


@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", ""])
@pytest.mark.parametrize(
    ("procedure", "place"), [(name, place) for name, arguments in ARGUMENTS.items() for place in range(len(arguments))]
)
def test_an_invalid_argument_is_refused_and_changes_nothing(
    session: Session, numbers: Iterator[int], sql_mode: str, procedure: str, place: int
) -> None:
    if not session.query("SELECT 1 FROM products"):
        session.create_product(stock=10**9)
    before = checksums(session)
    session.execute("SET sql_mode = %s", sql_mode)
    refused_by_mysql = REFUSED_BY_STRICT_MYSQL if sql_mode else set()
    for wrong in wrong_for(procedure, place):
        arguments = [f"key {next(numbers)}" if good == "key" else good for good in ARGUMENTS[procedure]]
        arguments[place] = wrong
        errno = errno_of(session, procedure, arguments)
        assert errno in expected_errnos(procedure, place, wrong) | refused_by_mysql, f"{wrong!r}"
        if errno is None:
            before = checksums(session)
        assert checksums(session) == before, f"{wrong!r}"


def expected_errnos(procedure: str, place: int, wrong: Any) -> set[int | None]:
    """The errno with which the procedure refuses an invalid value; or None, if the value is valid at this place."""
    if procedure in NOT_FOUND and place == 0 and (procedure in LOOKUPS or wrong in BEYOND_EVERY_ID):
        return {NOT_FOUND[procedure]}
    if is_valid(procedure, place, wrong):
        return {None, NOT_FOUND.get(procedure)}
    return {INVALID_REQUEST}


def is_valid(procedure: str, place: int, wrong: Any) -> bool:
    """Whether the header of a procedure allows a value that is invalid elsewhere."""
    allowed: dict[tuple[str, int], list[Any]] = {
        ("apply_payment", 1): BEYOND_EVERY_ID,
        ("adjust_stock", 1): [-1],
        ("adjust_stock", 2): ["ä" * 128],
        ("adjust_stock", 3): [None],
        ("change_product", 1): ["ä" * 128],
        ("change_product", 2): [0],
        ("change_product", 3): [None],
        ("create_event_receiver", 1): [None],
        ("create_hold", 2): [None],
        ("create_order", 1): [None],
        ("create_product", 0): ["ä" * 128],
        ("create_product", 1): [0],
        ("create_product", 2): [0],
        ("get_events", 0): [0, *BEYOND_EVERY_ID],
        ("list_deliveries", 0): NUMBERS,
        ("list_events", 0): [""],
        ("list_events", 1): [0, *BEYOND_EVERY_ID],
        ("list_orders", 0): [""],
        ("list_orders", 1): [None],
        ("list_orders", 2): [0, *BEYOND_EVERY_ID],
        ("list_products", 0): [0, *BEYOND_EVERY_ID],
        ("record_stock_check", 0): [0],
        ("reduce_hold", 1): BEYOND_EVERY_ID,
        ("refund_order", 1): [0],
        ("refund_order", 2): [None],
        ("report_deliveries", 0): NUMBERS,
        ("report_deliveries", 1): [0, *BEYOND_EVERY_ID],
        ("retry_event", 1): NUMBERS,
        ("set_selling_rules", 1): [None],
        ("set_selling_rules", 2): [None],
        ("set_selling_rules", 3): [None],
    }
    return any(wrong is value or wrong == value for value in allowed.get((procedure, place), []))
