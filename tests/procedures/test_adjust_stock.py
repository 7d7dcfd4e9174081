"""adjust_stock: add units to a product's stock, or take available ones away."""

import pytest

from tests.support import Session


@pytest.mark.parametrize(("quantity", "left"), [(50, 55), (-3, 2), (-5, 0)])
def test_an_adjustment_changes_total_and_available(session: Session, quantity: int, left: int) -> None:
    product_id = session.create_product(stock=6)
    session.create_hold(product_id)
    version = session.call("get_product", product_id)[0]["version"]
    (row,) = session.call("adjust_stock", product_id, quantity, "counted", None)
    assert list(row) == ["adjustment_id", "product_id", "total_stock", "available_stock", "replayed"]
    assert (row["product_id"], row["total_stock"], row["available_stock"]) == (product_id, left + 1, left)
    assert session.call("get_product", product_id)[0]["version"] == version + 1


def test_an_adjustment_is_stored_with_reason_and_account(session: Session) -> None:
    product_id = session.create_product(stock=6)
    (row,) = session.call("adjust_stock", product_id, -2, "bröken 💔", None)
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
    assert session.errno("adjust_stock", product_id, -3, "too many", None) == 30102
    assert session.query("SELECT * FROM stock_adjustments") == adjustments
    assert session.available(product_id) == 2


def test_a_reason_of_255_characters_is_stored_whole(session: Session) -> None:
    product_id = session.create_product(stock=6)
    (row,) = session.call("adjust_stock", product_id, 1, "💔" * 255, None)
    (kept,) = session.query("SELECT reason FROM stock_adjustments WHERE id = %s", row["adjustment_id"])
    assert kept["reason"] == "💔" * 255


def test_without_a_key_each_call_adjusts(session: Session) -> None:
    product_id = session.create_product(stock=6)
    rows = [session.call("adjust_stock", product_id, 1, "counted", None)[0] for _ in range(2)]
    assert [(row["total_stock"], row["replayed"]) for row in rows] == [(7, 0), (8, 0)]


def test_a_repeated_key_returns_the_first_answer_and_adjusts_once(session: Session) -> None:
    product_id = session.create_product(stock=6)
    (first,) = session.call("adjust_stock", product_id, 5, "delivery", "once")
    session.create_hold(product_id, 2)
    adjustments = session.query("SELECT * FROM stock_adjustments")
    assert session.call("adjust_stock", product_id, 5, "delivery", "once") == [{**first, "replayed": 1}]
    assert (first["total_stock"], first["available_stock"], first["replayed"]) == (11, 11, 0)
    assert session.query("SELECT * FROM stock_adjustments") == adjustments
    assert session.available(product_id) == 9


def test_a_key_belongs_to_one_product_quantity_and_reason(session: Session) -> None:
    product_id = session.create_product(stock=6)
    session.call("adjust_stock", product_id, 5, "delivery", "bytes")
    for other in ([product_id + 1, 5, "delivery"], [product_id, 6, "delivery"], [product_id, 5, "Delivery"]):
        assert session.errno("adjust_stock", *other, "bytes") == 30002
    assert session.call("adjust_stock", product_id, 5, "delivery", "BYTES")[0]["replayed"] == 0
    assert session.call("create_hold", product_id, 1, "bytes")[0]["replayed"] == 0
    assert session.available(product_id) == 15


def test_a_refused_adjustment_leaves_its_key_unused(session: Session) -> None:
    product_id = session.create_product(stock=6)
    assert session.errno("adjust_stock", product_id, -7, "too many", "free") == 30102
    assert session.call("adjust_stock", product_id, 1, "restock", "free")[0]["available_stock"] == 7


def test_a_key_is_kept_as_long_as_a_client_s_and_a_generated_one_as_the_service_s(session: Session) -> None:
    product_id = session.create_product(stock=6)
    session.stand_at("2000000000")
    for key in ("kept", None):
        session.call("adjust_stock", product_id, 1, "restock", key)
    rows = session.query(
        "SELECT idempotency_key = 'kept' AS kept, purge_after FROM idempotency_keys "
        "WHERE operation = 'adjustment' AND purge_after > '2033-05-18' ORDER BY purge_after"
    )
    assert [(row["kept"], f"{row['purge_after']}") for row in rows] == [
        (0, "2033-05-18 03:43:20"),
        (1, "2033-05-19 03:33:20"),
    ]
