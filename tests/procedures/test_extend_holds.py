"""extend_holds: extend active holds, each once."""

from tests.support import Session


def test_a_refused_element_does_not_affect_the_others(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.stand_at("2000000000")
    due, used, released = (session.create_hold(product_id) for _ in range(3))
    order_id = session.call("create_order", used, None)[0]["order_id"]
    session.call("release_hold", released)
    session.stand_at("2000000120")
    active, extended = session.create_hold(product_id), session.create_hold(product_id)
    (before,) = session.call("extend_hold", extended)
    elements = [due, used, active, released, 10**8, "x", extended, active]
    rows = session.batch("extend_holds", elements)
    assert list(rows[0]) == ["hold_id", "expires_at", "replayed", "errno", "order_id"]
    assert [row["errno"] for row in rows] == [30202, 30203, None, 30204, 30201, 30001, None, None]
    assert [row["replayed"] for row in rows] == [0, 0, 0, 0, 0, 0, 1, 1]
    assert [row["order_id"] for row in rows] == [None, order_id, None, None, None, None, None, None]
    assert [row["hold_id"] for row in rows] == [None, None, active, None, None, None, extended, active]
    assert [row["expires_at"] for row in rows if row["errno"] is None] == [before["expires_at"]] * 3
    assert session.available(product_id) == 5


def test_a_hold_twice_in_a_batch_is_extended_once(session: Session) -> None:
    session.stand_at("2000000000")
    hold_id = session.create_hold(session.create_product(stock=1))
    first, second = session.batch("extend_holds", [hold_id, hold_id])
    assert (first["replayed"], second["replayed"]) == (0, 1)
    session.stand_at("2000000180")
    assert session.status_of("hold", hold_id) == "expired"
