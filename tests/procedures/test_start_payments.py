"""start_payments: extend the deadlines of pending orders whose buyers are paying."""

from tests.support import Session


def test_a_refused_element_does_not_affect_the_others(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.stand_at("2000000000")
    pending, started, cancelled, paid = (session.create_order(product_id) for _ in range(4))
    session.call("cancel_order", cancelled)
    session.call("apply_payment", "paid before the batch", paid, "success")
    (before,) = session.call("start_payment", started)
    elements = [paid, pending, cancelled, 10**8, "x", started, pending]
    rows = session.batch("start_payments", elements)
    assert list(rows[0]) == ["order_id", "payment_due_at", "replayed", "errno"]
    assert [row["errno"] for row in rows] == [30302, None, 30303, 30301, 30001, None, None]
    assert [row["replayed"] for row in rows] == [0, 0, 0, 0, 0, 1, 1]
    assert [row["order_id"] for row in rows] == [None, pending, None, None, None, started, pending]
    assert {row["payment_due_at"] for row in rows if row["errno"] is None} == {before["payment_due_at"]}
