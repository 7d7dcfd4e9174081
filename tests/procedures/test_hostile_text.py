"""Hostile text is stored unchanged or refused; it changes nothing else."""

import json
from typing import Any

import pytest

from tests.contract.registry import REGISTRY
from tests.procedures.arguments import ARGUMENTS, BATCHES, TABLES, errno_of, is_text
from tests.support import Session

TOO_DEEP = 3157
HOSTILE = (
    "'; DROP TABLE stock; -- ",
    '" OR ""="',
    "1 UNION SELECT user, authentication_string FROM mysql.user",
    "') OR SLEEP(60) -- ",
    "\\' OR 1=1 -- \\",
    "%s%(name)s%n{0}${x}",
    "\U0001f39f\U0001d518\U0010ffff",  # beyond the basic multilingual plane
    "".join(map(chr, range(32))) + "\x7f\x80",  # control characters
    "\u202eabc\u2066",  # changes of direction
    "\uff41%_",  # looks like another letter; wildcards of LIKE
)


@pytest.fixture
def witness(session: Session) -> int:
    """A product of 7 units that no test names; product 1 exists as well, since valid arguments name it."""
    session.create_product(stock=1)
    return session.create_product(stock=7)


def assert_nothing_else_happened(session: Session, witness: int) -> None:
    assert session.available(witness) == 7
    assert session.call("check_stock") == []
    for table in TABLES:
        session.query(f"SELECT 1 FROM {table} LIMIT 1")


@pytest.mark.parametrize(
    ("procedure", "place"),
    [
        (procedure, place)
        for procedure, arguments in ARGUMENTS.items()
        for place in range(len(arguments))
        if is_text(procedure, place)
    ],
)
def test_a_hostile_argument_is_taken_as_text(session: Session, witness: int, procedure: str, place: int) -> None:
    for number, text in enumerate(HOSTILE):
        arguments = [f"{procedure} {number}" if good == "key" else good for good in ARGUMENTS[procedure]]
        arguments[place] = text
        assert errno_of(session, procedure, arguments) in {None, *REGISTRY}, text
    assert_nothing_else_happened(session, witness)


def test_a_name_is_kept_byte_for_byte(session: Session) -> None:
    for text in HOSTILE:
        (created,) = session.call("create_product", text, "100.00", 5)
        assert session.call("get_product", created["product_id"])[0]["name"] == text


def test_a_key_and_a_caller_are_kept_byte_for_byte(session: Session) -> None:
    product_id = session.create_product(stock=50)
    requests = [
        {"product_id": product_id, "quantity": 1, "idempotency_key": text, "caller": text[:16]} for text in HOSTILE
    ]
    first = session.batch("create_holds", requests)
    assert {row["errno"] for row in first} == {None}
    assert session.batch("create_holds", requests) == [{**row, "replayed": 1} for row in first]
    assert session.available(product_id) == 50 - len(HOSTILE)


@pytest.mark.parametrize("procedure", BATCHES)
def test_a_hostile_element_is_taken_as_text(session: Session, witness: int, procedure: str) -> None:
    good = BATCHES[procedure]
    hostile: list[Any] = []
    for text in HOSTILE:
        hostile += [text, {text: text}, [text]]
        if isinstance(good, dict):
            hostile += [{**good, member: text} for member in good] + [{**good, text: text}]
    assert set(session.errnos(procedure, hostile)) <= {None, *REGISTRY}
    assert_nothing_else_happened(session, witness)


@pytest.mark.parametrize("procedure", BATCHES)
def test_an_array_that_is_too_deep_is_refused_by_mysql_and_a_deep_one_by_the_procedure(
    session: Session, witness: int, procedure: str
) -> None:
    assert session.error(f"CALL {procedure}(%s)", "[" * 5000 + "]" * 5000).errno == TOO_DEEP
    deep = "[" * 90 + "]" * 90
    assert all(errno in REGISTRY for errno in session.errnos(procedure, json.loads(deep)))
    assert_nothing_else_happened(session, witness)


@pytest.mark.parametrize("procedure", [name for name, good in BATCHES.items() if isinstance(good, dict)])
def test_unknown_members_in_great_number_change_no_answer(session: Session, witness: int, procedure: str) -> None:
    wide = {f"member {number}": number for number in range(20_000)}
    narrow = BATCHES[procedure]
    assert session.errnos(procedure, [{**wide, **narrow}]) == session.errnos(procedure, [narrow])
    assert_nothing_else_happened(session, witness)


def test_the_last_of_two_members_of_one_name_counts_for_stock_and_replay(session: Session) -> None:
    product_id = session.create_product(stock=10)
    request = f'[{{"product_id":{product_id},"quantity":9,"quantity":2,"idempotency_key":"twice {product_id}"}}]'
    (first,) = session.call("create_holds", request)
    (again,) = session.call("create_holds", request)
    assert (first["errno"], again["replayed"]) == (None, 1)
    assert session.available(product_id) == 8
    assert session.call("get_hold", first["hold_id"])[0]["quantity"] == 2
