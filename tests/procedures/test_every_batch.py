"""What every batch procedure does with an argument that is no batch, or an empty or a large one."""

import json
from typing import Any

import pytest

from tests.procedures.arguments import BATCHES
from tests.support import Session


@pytest.mark.parametrize("argument", [None, "{}", "1", "true", "null", '"[]"', '{"0":[]}'])
@pytest.mark.parametrize("procedure", BATCHES)
def test_what_is_no_array_is_malformed(session: Session, procedure: str, argument: str | None) -> None:
    assert session.errno(procedure, argument) == 30001


@pytest.mark.parametrize("argument", ["", "[", "[NaN]", "[1,]", "x"])
@pytest.mark.parametrize("procedure", BATCHES)
def test_what_is_no_json_is_refused_by_mysql(session: Session, procedure: str, argument: str) -> None:
    assert session.error(f"CALL {procedure}(%s)", argument).errno == 3140


@pytest.mark.parametrize("procedure", BATCHES)
def test_an_empty_array_has_no_rows(session: Session, procedure: str) -> None:
    assert set(map(len, session.call_all(procedure, "[]"))) == {0}


@pytest.mark.parametrize("procedure", BATCHES)
def test_a_thousand_elements_are_answered_and_one_more_is_malformed(session: Session, procedure: str) -> None:
    element = BATCHES[procedure]
    errnos = session.errnos(procedure, [element] * 1000)
    assert len(errnos) == 1000
    assert None not in errnos
    assert session.errno(procedure, json.dumps([element] * 1001)) == 30001


@pytest.mark.parametrize("procedure", sorted(set(BATCHES) - {"get_holds", "get_orders", "get_products"}))
@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", "", "ANSI"])
def test_deep_or_long_members_hurt_only_their_element(session: Session, procedure: str, sql_mode: str) -> None:
    deep: Any = []
    for _ in range(90):
        deep = [deep]
    members = ("product_id", "hold_id", "order_id", "quantity", "idempotency_key", "status")
    wrong: list[Any] = [dict.fromkeys(members, value) for value in (deep, "x" * 70_000, 10**300, {"a": deep})]
    session.execute("SET sql_mode = %s", sql_mode)
    assert session.errnos(procedure, [*wrong, deep, "x" * 70_000]) == [30001] * 6
