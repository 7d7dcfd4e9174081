"""change_product: change what is sold."""

from decimal import Decimal

import pytest

from tests.support import Session


def test_a_change_is_seen_and_bumps_the_version(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (row,) = session.call("change_product", product_id, "Other", "5.50", 2)
    assert list(row) == ["id", "name", "price", "available_stock", "version"]
    assert row == {
        "id": product_id,
        "name": "Other",
        "price": Decimal("5.50"),
        "available_stock": 5,
        "version": 2,
    }
    assert session.errno("create_hold", product_id, 3, None) == 30103
    assert session.call("change_product", product_id, "Other", "5.50", None)[0]["version"] == 3
    assert session.create_hold(product_id, 3)


def test_an_unknown_product_is_not_found(session: Session) -> None:
    assert session.errno("change_product", 2**62, "Other", "1", None) == 30101


@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", ""])
@pytest.mark.parametrize(
    ("name", "price", "maximum"),
    [
        (None, "1", None),
        ("", "1", None),
        ("n" * 256, "1", None),
        ("n", None, None),
        ("n", "-0.01", None),
        ("n", "10000000000", None),
        ("n", "1.005", None),
        ("n", "1", 0),
        ("n", "1", -1),
        ("n", "1", 1_000_001),
    ],
)
def test_a_malformed_change_is_refused(
    session: Session, sql_mode: str, name: str | None, price: str | None, maximum: int | None
) -> None:
    product_id = session.create_product(stock=5)
    before = session.call("get_product", product_id)
    session.execute("SET sql_mode = %s", sql_mode)
    assert session.errno("change_product", product_id, name, price, maximum) == 30001
    assert session.call("get_product", product_id) == before


@pytest.mark.parametrize("product_id", [None, 0, -1])
def test_a_product_id_that_cannot_be_is_malformed(session: Session, product_id: int | None) -> None:
    assert session.errno("change_product", product_id, "n", "1", None) == 30001
