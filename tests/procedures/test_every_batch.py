"""What every batch procedure does with an invalid array, an invalid element, and an empty or large batch."""

import json
from typing import Any

import pytest

from tests.procedures.arguments import BATCHES, LOOKUPS, NOT_FOUND, WRONG_MEMBERS, checksums
from tests.support import Session

INVALID_JSON = 3140  # MySQL's own errno for a JSON argument

pytestmark = pytest.mark.parametrize("procedure", BATCHES)


def test_json_that_is_not_an_array_is_invalid(session: Session, procedure: str) -> None:
    for argument in (None, "{}", "1", "true", "null", '"[]"', '{"0":[]}'):
        assert session.errno(procedure, argument) == 30001, argument


def test_text_that_is_not_json_is_refused_by_mysql(session: Session, procedure: str) -> None:
    for argument in ("", "[", "[NaN]", "[1,]", "x"):
        assert session.error(f"CALL {procedure}(%s)", argument).errno == INVALID_JSON, argument


def test_an_empty_array_has_no_rows(session: Session, procedure: str) -> None:
    assert set(map(len, session.call_all(procedure, "[]"))) == {0}


def test_a_thousand_elements_are_answered_and_one_more_is_invalid(session: Session, procedure: str) -> None:
    element = BATCHES[procedure]
    assert session.errnos(procedure, [element] * 1000) == [NOT_FOUND.get(procedure)] * 1000
    assert session.errno(procedure, json.dumps([element] * 1001)) == 30001


def test_an_invalid_element_is_refused_alone_and_changes_nothing(session: Session, procedure: str) -> None:
    """The element behind the invalid ones is answered as if it were alone."""
    good = BATCHES[procedure]
    session.errnos(procedure, [good])
    before = checksums(session)
    for member, values in WRONG_MEMBERS.get(procedure, {}).items():
        for value in values:
            element = {**good, member: value} if member else value
            errnos = session.errnos(procedure, [element, good])
            assert errnos == [30001, NOT_FOUND.get(procedure)], f"{member or 'element'}: {value!r}"
    assert checksums(session) == before


def test_an_element_without_a_required_member_is_invalid(session: Session, procedure: str) -> None:
    good = BATCHES[procedure]
    members = good if isinstance(good, dict) else {}
    parts = [{name: value for name, value in good.items() if name != left_out} for left_out in members]
    assert session.errnos(procedure, parts) == [30001] * len(parts)


@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", "", "ANSI"])
def test_deep_or_long_members_spoil_only_their_element(session: Session, procedure: str, sql_mode: str) -> None:
    deep: Any = []
    for _ in range(90):
        deep = [deep]
    members = ("product_id", "hold_id", "order_id", "quantity", "idempotency_key", "status")
    wrong: list[Any] = [dict.fromkeys(members, value) for value in (deep, "x" * 70_000, 10**300, {"a": deep})]
    session.execute("SET sql_mode = %s", sql_mode)
    expected = NOT_FOUND[procedure] if procedure in LOOKUPS else 30001
    assert session.errnos(procedure, [*wrong, deep, "x" * 70_000]) == [expected] * 6
