"""check_stock and the view stock_levels: they find units in no state and units in two."""

import re

import pytest

from service.deploy import ROOT
from tests.support import Session

RUNBOOK = ROOT / "docs" / "runbook.md"


def test_consistent_stock_has_no_row_in_any_state_of_its_units(session: Session) -> None:
    product_id = session.create_product(stock=20)
    session.create_hold(product_id, 2)
    session.create_order(product_id, 3)
    session.call("apply_payment", "sold", session.create_order(product_id, 4), "success")
    session.call("cancel_order", session.create_order(product_id, 5))
    session.call("release_hold", session.create_hold(product_id, 6))
    assert session.call("check_stock") == []
    (levels,) = session.query("SELECT * FROM stock_levels WHERE product_id = %s", product_id)
    assert list(levels)[:4] == ["product_id", "name", "total_stock", "available_stock"]
    assert [levels[column] for column in ("available_stock", "held", "pending", "sold")] == [11, 2, 3, 4]


@pytest.mark.parametrize("drift", [-1, 1])
def test_a_lost_unit_and_a_unit_sold_twice_are_found(session: Session, drift: int) -> None:
    product_id = session.create_product(stock=5)
    session.create_hold(product_id, 2)
    session.execute("UPDATE stock SET available = available + %s WHERE product_id = %s", drift, product_id)
    try:
        (row,) = session.call("check_stock")
        columns = ["product_id", "total_stock", "available_stock", "held", "pending", "sold", "difference"]
        assert list(row) == columns
        assert [int(value) for value in row.values()] == [product_id, 5, 3 + drift, 2, 0, 0, -drift]
    finally:
        session.execute("UPDATE stock SET available = 3 WHERE product_id = %s", product_id)


@pytest.mark.parametrize(("drift", "repair"), [(-2, "available"), (2, "available"), (2, "total")])
def test_the_runbook_s_repair_removes_a_difference(session: Session, drift: int, repair: str) -> None:
    """Lost units; units sold twice of which some are available; and units sold twice that buyers have."""
    product_id = session.create_product(stock=5)
    session.create_hold(product_id, 3 if repair == "available" else 4)
    session.execute("UPDATE stock SET available = available + %s WHERE product_id = %s", drift, product_id)
    if repair == "total":
        session.create_hold(product_id, 3)
    (statement,) = re.findall(rf"^ +(UPDATE stock SET {repair} .*);$", RUNBOOK.read_text(), re.M)
    (row,) = session.call("check_stock")
    typed = statement.replace("(-2)", f"({int(row['difference'])})").replace(
        "product_id = 1", f"product_id = {product_id}"
    )
    session.execute(typed)
    assert session.call("check_stock") == []


@pytest.mark.parametrize("available", [-1, 6])
def test_an_update_by_hand_cannot_leave_the_range_of_the_total(session: Session, available: int) -> None:
    product_id = session.create_product(stock=5)
    statement = f"UPDATE stock SET available = {available} WHERE product_id = {product_id}"
    assert session.error(statement).errno == 3819
