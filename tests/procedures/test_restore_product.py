"""restore_product: sell an archived product again."""

from tests.support import Session


def test_a_restored_product_is_listed_and_sold_with_its_rules(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.call("set_selling_rules", product_id, None, None, 2)
    session.call("archive_product", product_id)
    (archived,) = session.call("get_product", product_id)
    for _ in range(2):
        assert session.call("restore_product", product_id) == [{"product_id": product_id, "archived_at": None}]
    (restored,) = session.call("get_product", product_id)
    assert restored["version"] > archived["version"]
    assert {**restored, "version": archived["version"]} == archived
    assert [row["id"] for row in session.call("list_products", product_id - 1, 1)] == [product_id]
    request = {"product_id": product_id, "quantity": 2, "customer_id": "ada"}
    assert session.errnos("create_holds", [request, request]) == [None, 30105]
