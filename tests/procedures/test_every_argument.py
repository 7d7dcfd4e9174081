"""No argument of any public procedure is cut or bent in silence, whatever the caller's sql_mode is."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import mysql.connector
import pytest

from tests.contract.accounts import PUBLIC_PROCEDURES
from tests.contract.routines import ROUTINES
from tests.procedures.test_every_batch import BATCHES
from tests.support import Session

NUMBERS = [None, -1, 0, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 1e300]
MOMENTS = [None, "", 0, -1, "2030-02-30 00:00:00", "2030-13-01 00:00:00", "0000-00-00 00:00:00", "soon", 1e300]
TEXTS = [None, "", "k" * 300, "k" * 2000, "ä" * 500]
REFUSED_BY_STRICT_MYSQL = {1264, 1292, 1406}  # out of range, no date, data too long
TABLES = (
    "products",
    "stock",
    "holds",
    "orders",
    "payment_events",
    "payment_reviews",
    "idempotency_keys",
    "stock_adjustments",
    "sweeps",
    "measurements",
    "settings",
    "customer_units",
)

ARGUMENTS: dict[str, list[Any]] = {
    "adjust_stock": [1, 1, "reason"],
    "apply_payment": ["key", 10**8, "success"],
    "cancel_order": [10**8],
    "change_product": [1, "Limited Edition Item", "100.00", 5],
    "change_setting": ["hold_ttl_s", 120],
    "create_hold": [1, 1, "key"],
    "create_order": [10**8, "key"],
    "create_product": ["Limited Edition Item", "100.00", 5],
    "expire_due": [10],
    "extend_hold": [10**8],
    "get_hold": [10**8],
    "get_order": [10**8],
    "get_payment": ["key"],
    "get_product": [1],
    "list_products": [0, 10],
    "purge_history": [10],
    "record_stock_check": [0],
    "release_hold": [10**8],
    "report_sweeps": [10],
    "set_selling_rules": [1, "2030-01-01 00:00:00", "2030-01-02 00:00:00", 5],
    "settle_refund": ["key"],
    "settle_review": ["key"],
    "settle_waiting_payments": [10],
    "start_payment": [10**8],
}
WITHOUT_ARGUMENTS = {"check_stock", "get_health", "get_metrics"}


def wrong_for(good: Any) -> list[Any]:
    """What to try in the place of a good argument."""
    if isinstance(good, int) or good == "100.00":
        return NUMBERS
    return MOMENTS if good.startswith("2030") else TEXTS


CASES = [
    pytest.param(procedure, place, wrong, id=f"{procedure}-{place}-{number}")
    for procedure, arguments in ARGUMENTS.items()
    for place, good in enumerate(arguments)
    for number, wrong in enumerate(wrong_for(good))
]


def test_every_public_procedure_with_plain_arguments_is_tried() -> None:
    batches = {name for name in PUBLIC_PROCEDURES if " JSON" in ROUTINES[name].sections["In"]}
    assert set(ARGUMENTS) | WITHOUT_ARGUMENTS | batches == set(PUBLIC_PROCEDURES)
    assert set(BATCHES) == batches


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """Numbers for keys that no other case uses."""
    return count()


@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", ""])
@pytest.mark.parametrize(("procedure", "place", "wrong"), CASES)
def test_a_wrong_argument_is_refused_with_a_documented_errno_or_taken_as_it_is(
    session: Session, *, numbers: Iterator[int], sql_mode: str, procedure: str, place: int, wrong: Any
) -> None:
    if not session.query("SELECT 1 FROM products"):
        session.create_product(stock=10**9)
    arguments = [f"key {next(numbers)}" if good == "key" else good for good in ARGUMENTS[procedure]]
    arguments[place] = wrong
    before = session.query(f"CHECKSUM TABLE {', '.join(TABLES)}")
    session.execute("SET sql_mode = %s", sql_mode)
    places = ", ".join(["%s"] * len(arguments))
    try:
        session.execute(f"CALL {procedure}({places})", *arguments)
        errno = None
    except mysql.connector.Error as error:
        errno = error.errno
    if errno is None:
        assert is_meaningful(procedure, place, wrong), f"{procedure} took {wrong!r}"
    else:
        assert errno in ROUTINES[procedure].raised | (REFUSED_BY_STRICT_MYSQL if sql_mode else set())
        assert session.query(f"CHECKSUM TABLE {', '.join(TABLES)}") == before


def is_meaningful(procedure: str, place: int, wrong: Any) -> bool:
    """Whether a value of the lists above may be accepted at a place, being what the header allows."""
    beyond_every_id = [2**63 - 1, 2**63, 2**64, 1e300]  # MySQL makes 2**63 - 1 of them where it is not strict
    allowed: dict[tuple[str, int], list[Any]] = {
        ("apply_payment", 1): beyond_every_id,
        ("adjust_stock", 1): [-1],
        ("create_hold", 2): [None],
        ("change_product", 2): [0],
        ("change_product", 3): [None],
        ("create_product", 1): [0],
        ("create_product", 2): [0],
        ("list_products", 0): [0, *beyond_every_id],
        ("record_stock_check", 0): [0],
        ("set_selling_rules", 1): [None],
        ("set_selling_rules", 2): [None],
        ("set_selling_rules", 3): [None],
    }
    return any(wrong is value or wrong == value for value in allowed.get((procedure, place), []))
