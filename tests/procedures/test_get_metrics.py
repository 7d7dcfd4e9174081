"""get_metrics: figures for monitoring, read without a scan."""

from typing import Any

from tests.support import Row, Session


def figures(session: Session) -> Row:
    """The row of figures about the whole database."""
    row: Row = session.call_all("get_metrics")[1][0]
    return row


def test_the_first_result_set_is_that_of_get_health(session: Session) -> None:
    session.stand_at("2000000000")
    assert session.call_all("get_metrics")[0] == session.call("get_health")


def test_expirations_are_counted_for_ever_whichever_procedure_sweeps(session: Session) -> None:
    product_id = session.create_product(stock=3)
    before = figures(session)
    session.travel(-5000)
    session.create_hold(product_id)
    session.create_order(product_id)
    session.create_hold(product_id)
    session.travel(0)
    session.create_hold(product_id, 3)  # finds a shortage, and sweeps the product
    session.travel(10_000)
    session.call("expire_due", 1000)
    after = figures(session)
    assert after["holds_expired"] - before["holds_expired"] == 3
    assert after["orders_expired"] - before["orders_expired"] == 1


def test_refunds_due_and_waiting_payments_are_current(session: Session) -> None:
    def due_and_waiting() -> tuple[Any, Any]:
        row = figures(session)
        return row["refunds_due"], row["payments_waiting"]

    order_id = session.create_order(session.create_product(stock=1))
    session.call("cancel_order", order_id)
    assert due_and_waiting() == (0, 0)
    session.call("apply_payment", "too late", order_id, "success")
    session.call("apply_payment", "too soon", 10**8, "success")
    assert due_and_waiting() == (1, 1)
    session.call("settle_refund", "too late")
    assert due_and_waiting() == (0, 1)


def test_the_stock_of_the_newest_thousand_products_is_returned(session: Session) -> None:
    product_id = session.create_product(stock=7)
    session.create_hold(product_id, 2)
    stock = session.call_all("get_metrics")[2]
    assert stock[0] == {"product_id": product_id, "total_stock": 7, "available_stock": 5}
    session.execute(
        "INSERT INTO stock (product_id, total, available)"
        " WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)"
        " SELECT /*+ SET_VAR(cte_max_recursion_depth = 1000) */ 1000000 + n, 0, 0 FROM numbers"
    )
    stock = session.call_all("get_metrics")[2]
    assert [row["product_id"] for row in stock] == list(range(1_001_000, 1_000_000, -1))
    session.execute("DELETE FROM stock WHERE product_id > 1000000")


def test_a_server_outside_a_group_has_no_members(session: Session) -> None:
    *_, members = session.call_all("get_metrics")
    assert members == []
    assert figures(session)["flow_control_throttles"] is None
