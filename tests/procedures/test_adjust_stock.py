"""adjust_stock: add units to a product's stock, or take available ones away."""

import pytest

from tests.support import Session


@pytest.mark.parametrize(("quantity", "left"), [(50, 55), (-3, 2), (-5, 0)])
def test_an_adjustment_changes_total_and_available(session: Session, quantity: int, left: int) -> None:
    product_id = session.create_product(stock=6)
    session.create_hold(product_id)
    version = session.call("get_product", product_id)[0]["version"]
    (row,) = session.call("adjust_stock", product_id, quantity, "counted")
    assert list(row) == ["adjustment_id", "product_id", "total_stock", "available_stock"]
    assert (row["product_id"], row["total_stock"], row["available_stock"]) == (product_id, left + 1, left)
    assert session.call("get_product", product_id)[0]["version"] == version + 1


def test_an_adjustment_is_stored_with_reason_and_account(session: Session) -> None:
    product_id = session.create_product(stock=6)
    (row,) = session.call("adjust_stock", product_id, -2, "bröken 💔")
    kept = session.query("SELECT * FROM stock_adjustments WHERE product_id = %s ORDER BY id", product_id)
    assert [(adjustment["quantity"], adjustment["reason"]) for adjustment in kept] == [
        (6, "initial stock"),
        (-2, "bröken 💔"),
    ]
    assert kept[1]["id"] == row["adjustment_id"]
    assert kept[1]["account"].startswith("root@")


def test_held_and_sold_units_cannot_be_taken_away(session: Session) -> None:
    product_id = session.create_product(stock=6)
    session.create_hold(product_id, 4)
    adjustments = session.query("SELECT * FROM stock_adjustments")
    assert session.errno("adjust_stock", product_id, -3, "too many") == 30102
    assert session.query("SELECT * FROM stock_adjustments") == adjustments
    assert session.available(product_id) == 2


def test_a_reason_of_255_characters_is_stored_whole(session: Session) -> None:
    product_id = session.create_product(stock=6)
    (row,) = session.call("adjust_stock", product_id, 1, "💔" * 255)
    (kept,) = session.query("SELECT reason FROM stock_adjustments WHERE id = %s", row["adjustment_id"])
    assert kept["reason"] == "💔" * 255
