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


def test_ids_count_up_by_one(session: Session) -> None:
    first = session.create_product(stock=0)
    assert session.create_product(stock=0) == first + 1


@pytest.mark.parametrize(("price", "stock"), [("0", 0), ("9999999999.99", 10**12)])
def test_the_largest_and_smallest_price_and_stock_are_accepted(session: Session, price: str, stock: int) -> None:
    product_id = session.create_product(stock, price)
    (product,) = session.call("get_product", product_id)
    assert (product["price"], product["available_stock"]) == (Decimal(price), stock)
