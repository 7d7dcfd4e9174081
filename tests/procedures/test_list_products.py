"""list_products: pages in the order of ids."""

from tests.support import Session


def test_pages_list_every_product_once_in_the_order_of_ids(session: Session) -> None:
    products = [session.create_product(stock=number) for number in range(7)]
    after, pages = products[0] - 1, []
    while page := session.call("list_products", after, 3):
        pages.append([row["id"] for row in page])
        after = pages[-1][-1]
    assert pages == [products[:3], products[3:6], products[6:]]


def test_a_row_equals_that_of_get_products(session: Session) -> None:
    product_id = session.create_product(stock=3)
    session.call("set_selling_rules", product_id, "2033-05-18 12:00:00", None, 2)
    assert session.call("list_products", product_id - 1, 1) == session.batch("get_products", [product_id])
