"""change_product: change name, price and maximum per hold."""

from decimal import Decimal

from tests.support import Session


def test_a_change_is_returned_and_increments_the_version(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (row,) = session.call("change_product", product_id, "Other", "5.50", 2)
    assert [row] == session.call("get_product", product_id)
    assert (row["name"], row["price"], row["version"]) == ("Other", Decimal("5.50"), 2)
    assert session.errno("create_hold", product_id, 3, None) == 30103
    assert session.call("change_product", product_id, "Other", "5.50", None)[0]["version"] == 3
    assert session.create_hold(product_id, 3)
