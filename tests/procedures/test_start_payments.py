"""start_payments: extend the deadlines of pending orders whose buyers are paying."""

from datetime import timedelta

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


def test_each_order_has_its_own_window_from_now(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.call("change_setting", "payment_window_maximum_s", 2_592_000)
    session.stand_at("2000000000")
    (due,) = session.call("get_order", session.create_order(product_id))
    created_at = due["payment_due_at"] - timedelta(seconds=900)
    windows = [(1, 900), (899, 900), (901, 901), (2_592_000, 2_592_000), (None, 1800)]  # it never gets shorter
    orders = [session.create_order(product_id) for _ in windows]
    elements = [[order_id, "", window_s] for order_id, (window_s, _) in zip(orders, windows, strict=True)]
    rows = session.batch("start_payments", elements)
    assert [(row["payment_due_at"] - created_at).total_seconds() for row in rows] == [given for _, given in windows]
    session.stand_at("2000000500")
    again = session.batch("start_payments", [[order_id, "", 5000] for order_id in orders])
    assert again == [{**row, "replayed": 1} for row in rows]


def test_a_window_beyond_the_setting_starts_nothing_and_the_first_valid_one_counts(session: Session) -> None:
    session.call("change_setting", "payment_window_maximum_s", 3600)
    session.stand_at("2000000000.5")
    order_id = session.create_order(session.create_product(stock=1))
    before = session.call("get_order", order_id)[0]["payment_due_at"]
    assert session.errnos("start_payments", [[order_id, "", 3601]]) == [30001]
    assert session.call("get_order", order_id)[0]["payment_due_at"] == before
    elements = [[order_id, "nobody", 3500], [order_id, "", 0], [order_id, "", 3600], [order_id, "", 3000]]
    rows = session.batch("start_payments", elements)
    assert [(row["errno"], row["replayed"]) for row in rows] == [(30301, 0), (30001, 0), (None, 0), (None, 1)]
    assert {row["payment_due_at"] - before for row in rows[2:]} == {timedelta(seconds=3600 - 900)}
