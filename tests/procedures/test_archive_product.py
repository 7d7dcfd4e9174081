"""archive_product: refuse new holds of a product and leave it out of lists."""

from datetime import datetime

from tests.support import Session


def test_an_archived_product_has_a_higher_version_and_is_not_listed(session: Session) -> None:
    first, second = session.create_product(stock=5), session.create_product(stock=5)
    session.stand_at("2000000000")
    archived = [{"product_id": first, "archived_at": datetime(2033, 5, 18, 3, 33, 20)}]
    assert session.call("archive_product", first) == archived
    session.stand_at("2000000001")
    assert session.call("archive_product", first) == archived
    assert [row["id"] for row in session.call("list_products", first - 1, 10)] == [second]
    assert session.call("get_product", first)[0]["version"] > 1
    levels = session.query("SELECT archived_at FROM stock_levels WHERE product_id IN (%s, %s)", first, second)
    assert [row["archived_at"] for row in levels] == [archived[0]["archived_at"], None]


def test_holds_and_orders_of_an_archived_product_go_on(session: Session) -> None:
    product_id = session.create_product(stock=9)
    kept, reduced, released = (session.call("create_hold", product_id, 2, f"go on {n}")[0] for n in range(3))
    order_id = session.create_order(product_id)
    session.call("archive_product", product_id)
    session.call("extend_hold", kept["hold_id"])
    session.call("create_order", kept["hold_id"], None)
    session.call("reduce_hold", reduced["hold_id"], 1)
    session.call("release_hold", released["hold_id"])
    assert session.call("apply_payment", f"archived {order_id}", order_id, "success")[0]["status"] == "paid"
    assert session.call("create_hold", product_id, 2, "go on 0") == [{**kept, "replayed": 1}]
    assert session.call("adjust_stock", product_id, -5, "moved", None)[0]["available_stock"] == 0
