"""On a read-only server, which may be behind its primary, every procedure refuses; views can be read."""

import json
from collections.abc import Callable, Iterator

import pytest

from docs.generate.accounts import PUBLIC_PROCEDURES
from docs.generate.procedures import VIEWS
from tests.procedures.arguments import ARGUMENTS, BATCHES
from tests.support import Session

READ_ONLY = 1290


@pytest.fixture(params=["read_only", "super_read_only"])
def make_read_only(request: pytest.FixtureRequest, session: Session) -> Iterator[Callable[[], None]]:
    """A function that makes the server read-only; it accepts writes again after the test."""
    yield lambda: session.execute(f"SET GLOBAL {request.param} = ON")
    session.execute("SET GLOBAL read_only = OFF")


def test_every_procedure_refuses(session: Session, make_read_only: Callable[[], None]) -> None:
    make_read_only()
    for procedure in PUBLIC_PROCEDURES:
        arguments = [json.dumps([BATCHES[procedure]])] if procedure in BATCHES else ARGUMENTS.get(procedure, [])
        places = ", ".join(["%s"] * len(arguments))
        assert session.error(f"CALL {procedure}({places})", *arguments).errno == READ_ONLY, procedure


def test_a_call_that_would_be_refused_for_other_reasons_is_refused_for_this_one(
    session: Session, make_read_only: Callable[[], None]
) -> None:
    """A hold of too many units writes nothing, so MySQL alone would not stop it."""
    product_id = session.create_product(stock=1)
    make_read_only()
    assert session.error("CALL create_hold(%s, 2, NULL)", product_id).errno == READ_ONLY
    assert session.error("CALL get_hold(1000000000)").errno == READ_ONLY


def test_every_view_can_be_read(session: Session, make_read_only: Callable[[], None]) -> None:
    product_id = session.create_product(stock=5)
    make_read_only()
    rows = {path.stem: session.query(f"SELECT * FROM {path.stem}") for path in VIEWS}
    assert product_id in [row["product_id"] for row in rows["stock_levels"]]
