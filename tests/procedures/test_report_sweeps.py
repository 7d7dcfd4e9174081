"""report_sweeps: return each sweep once."""

from tests.support import Session


def test_each_sweep_is_returned_once_in_order(session: Session) -> None:
    product_id = session.create_product(stock=9)
    swept = []
    for number in range(1, 4):
        session.travel(1000 * number)
        session.create_hold(product_id, number)
        session.travel(1000 * number + 200)
        swept.append(session.call("expire_due", 1000)[0]["sweep_id"])
    rows = session.call("report_sweeps", 2)
    assert list(rows[0]) == ["sweep_id", "swept_at", "holds", "orders", "units", "duration_ms"]
    assert [(row["sweep_id"], row["holds"], row["units"]) for row in rows] == [(swept[0], 1, 1), (swept[1], 1, 2)]
    assert [row["sweep_id"] for row in session.call("report_sweeps", 1000)] == swept[2:]
    assert session.call("report_sweeps", 1000) == []
