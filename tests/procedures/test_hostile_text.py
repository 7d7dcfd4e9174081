"""Text that tries to be more than text is kept as it is, or refused; nothing else changes."""

import json
from typing import Any

import mysql.connector
import pytest

from tests.contract.registry import REGISTRY
from tests.procedures.arguments import ARGUMENTS, BATCHES, TABLES, TEXTS, wrong_for
from tests.support import Session

TOO_DEEP = 3157
HOSTILE = {
    "statement": "'; DROP TABLE stock; -- ",
    "double quotes": '" OR ""="',
    "union": "1 UNION SELECT user, authentication_string FROM mysql.user",
    "function": "') OR SLEEP(60) -- ",
    "backslash": "\\' OR 1=1 -- \\",
    "format": "%s%(name)s%n{0}${x}",
    "emoji": "\U0001f39f\U0001d518\U0010ffff",
    "controls": "".join(map(chr, range(32))) + "\x7f\x80",
    "direction": "\u202eabc\u2066",
    "likeness": "\uff41%_",
}


@pytest.fixture
def witness(session: Session) -> int:
    """A product that nobody asks for."""
    session.create_product(stock=1)  # the first one is changed by arguments that name it
    return session.create_product(stock=7)


def errno_of(session: Session, procedure: str, arguments: list[Any]) -> int | None:
    """What a CALL is refused with; None where it is not."""
    try:
        session.call(procedure, *arguments)
    except mysql.connector.Error as error:
        return error.errno
    return None


def assert_nothing_else_happened(session: Session, witness: int) -> None:
    assert session.available(witness) == 7
    assert session.call("check_stock") == []
    for table in TABLES:
        session.query(f"SELECT 1 FROM {table} LIMIT 1")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    ("procedure", "place"),
    [
        (procedure, place)
        for procedure, arguments in ARGUMENTS.items()
        for place, good in enumerate(arguments)
        if wrong_for(good) is TEXTS
    ],
)
def test_an_argument_is_only_text(session: Session, witness: int, procedure: str, place: int, text: str) -> None:
    arguments = list(ARGUMENTS[procedure])
    arguments[place] = text
    assert errno_of(session, procedure, arguments) in {None, *REGISTRY}
    assert_nothing_else_happened(session, witness)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_name_is_kept_as_it_is(session: Session, text: str) -> None:
    (created,) = session.call("create_product", text, "100.00", 5)
    (product,) = session.call("get_product", created["product_id"])
    assert product["name"] == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_key_is_kept_as_it_is(session: Session, text: str) -> None:
    product_id = session.create_product(stock=5)
    requests = [
        {"product_id": product_id, "quantity": 1, "idempotency_key": f"{product_id}{text}", "caller": text[:16]}
    ]
    (first,) = session.batch("create_holds", requests)
    (again,) = session.batch("create_holds", requests)
    assert first["errno"] is None
    assert (again["hold_id"], again["replayed"]) == (first["hold_id"], 1)
    assert session.available(product_id) == 4


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("procedure", BATCHES)
def test_an_element_is_only_text(session: Session, witness: int, procedure: str, text: str) -> None:
    good = BATCHES[procedure]
    hostile: list[Any] = [text, {text: text}, [text]]
    if isinstance(good, dict):
        hostile += [{**good, member: text} for member in good] + [{**good, text: text}]
    for errno in session.errnos(procedure, hostile):
        assert errno is None or errno in REGISTRY
    assert_nothing_else_happened(session, witness)


@pytest.mark.parametrize("procedure", BATCHES)
def test_an_array_too_deep_is_refused_and_a_deep_one_is_malformed(
    session: Session, witness: int, procedure: str
) -> None:
    assert session.error(f"CALL {procedure}(%s)", "[" * 5000 + "]" * 5000).errno == TOO_DEEP
    deep = "[" * 90 + "]" * 90
    assert all(errno in REGISTRY for errno in session.errnos(procedure, json.loads(deep)))
    assert_nothing_else_happened(session, witness)


@pytest.mark.parametrize("procedure", [name for name, good in BATCHES.items() if isinstance(good, dict)])
def test_a_wide_element_is_read_like_a_narrow_one(session: Session, witness: int, procedure: str) -> None:
    wide = {f"member {number}": number for number in range(20_000)}
    narrow = BATCHES[procedure]
    assert session.errnos(procedure, [{**wide, **narrow}]) == session.errnos(procedure, [narrow])
    assert_nothing_else_happened(session, witness)


def test_of_two_members_of_a_name_the_last_one_counts_for_everything(session: Session) -> None:
    product_id = session.create_product(stock=10)
    request = f'[{{"product_id":{product_id},"quantity":9,"quantity":2,"idempotency_key":"twice {product_id}"}}]'
    (first,) = session.call("create_holds", request)
    (again,) = session.call("create_holds", request)
    assert (first["errno"], again["replayed"]) == (None, 1)
    assert session.available(product_id) == 8
    assert session.call("get_hold", first["hold_id"])[0]["quantity"] == 2
