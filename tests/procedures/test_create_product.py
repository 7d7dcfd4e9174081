"""create_product: put a product on sale."""

from decimal import Decimal

import pytest

from tests.support import Session


def test_a_product_is_on_sale_with_its_stock(session: Session) -> None:
    (row,) = session.call("create_product", "Ünlimited 💔", "19.99", 7)
    assert list(row) == ["product_id"]
    (product,) = session.call("get_product", row["product_id"])
    assert (product["name"], product["price"]) == ("Ünlimited 💔", Decimal("19.99"))
    assert (product["available_stock"], product["version"]) == (7, 1)


def test_ids_count_up(session: Session) -> None:
    first = session.create_product(stock=0)
    assert session.create_product(stock=0) == first + 1


@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", ""])
@pytest.mark.parametrize(
    ("name", "price", "stock"),
    [
        (None, "1", 1),
        ("", "1", 1),
        ("n" * 256, "1", 1),
        ("n" * 1024, "1", 1),
        ("n", None, 1),
        ("n", "-0.01", 1),
        ("n", "10000000000", 1),
        ("n", "1.005", 1),
        ("n", "1", None),
        ("n", "1", -1),
        ("n", "1", 10**12 + 1),
    ],
)
def test_a_malformed_product_is_refused(
    session: Session, sql_mode: str, name: str | None, price: str | None, stock: int | None
) -> None:
    session.execute("SET sql_mode = %s", sql_mode)
    products = session.query("SELECT * FROM products")
    assert session.errno("create_product", name, price, stock) == 30001
    assert session.query("SELECT * FROM products") == products


@pytest.mark.parametrize(("price", "stock"), [("0", 0), ("9999999999.99", 10**12)])
def test_the_bounds_themselves_are_accepted(session: Session, price: str, stock: int) -> None:
    product_id = session.create_product(stock, price)
    (product,) = session.call("get_product", product_id)
    assert (product["price"], product["available_stock"]) == (Decimal(price), stock)
