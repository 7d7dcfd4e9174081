"""A read-only server may be behind its primary: no procedure answers there, and views do."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.contract.accounts import PUBLIC_PROCEDURES
from tests.procedures.test_every_argument import ARGUMENTS
from tests.procedures.test_every_transaction import CALLS, Scene, arguments_of
from tests.support import Session

READ_ONLY = 1290
BATCH_READS = {"get_holds", "get_orders", "get_products"}
VIEWS = ("active_holds", "pending_orders", "refunds_due", "sales_per_minute", "stock_levels", "waiting_payments")


@pytest.fixture(params=["read_only", "super_read_only"])
def read_only(request: pytest.FixtureRequest, session: Session) -> Iterator[Callable[[], None]]:
    """Makes the server read-only when it is called; it takes writes again after the test."""
    yield lambda: session.execute(f"SET GLOBAL {request.param} = ON")
    session.execute("SET GLOBAL read_only = OFF")


@pytest.mark.parametrize("procedure", PUBLIC_PROCEDURES)
def test_no_procedure_answers(session: Session, read_only: Callable[[], None], procedure: str) -> None:
    product_id = session.create_product(stock=5)
    scene = Scene(product_id, session.create_hold(product_id), session.create_order(product_id), "no such payment")
    arguments = arguments_of(procedure, scene) if procedure in CALLS else ARGUMENTS.get(procedure, [])
    if procedure in BATCH_READS:
        arguments = [json.dumps([product_id])]
    read_only()
    error = session.error(f"CALL {procedure}({', '.join(['%s'] * len(arguments))})", *arguments)
    assert error.errno == READ_ONLY


def test_what_old_rows_would_refuse_is_not_refused(session: Session, read_only: Callable[[], None]) -> None:
    """A hold of too many units writes nothing, so MySQL alone would not stop it."""
    product_id = session.create_product(stock=1)
    read_only()
    assert session.error("CALL create_hold(%s, 2, NULL)", product_id).errno == READ_ONLY
    assert session.error("CALL get_hold(1000000000)").errno == READ_ONLY


@pytest.mark.parametrize("view", VIEWS)
def test_views_answer(session: Session, read_only: Callable[[], None], view: str) -> None:
    product_id = session.create_product(stock=5)
    read_only()
    rows = session.query(f"SELECT * FROM {view}")
    assert view != "stock_levels" or product_id in [row["product_id"] for row in rows]
