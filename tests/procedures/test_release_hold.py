"""release_hold: release an active hold before its deadline."""

from tests.support import Session


def test_a_released_hold_returns_its_units(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id, 3)
    (row,) = session.call("release_hold", hold_id)
    assert list(row) == ["hold_id", "status", "replayed"]
    assert row == {"hold_id": hold_id, "status": "released", "replayed": 0}
    assert session.available(product_id) == 5


def test_a_second_release_returns_no_units(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id, 2)
    session.call("release_hold", hold_id)
    session.travel(500)
    assert session.call("release_hold", hold_id)[0]["replayed"] == 1
    session.call("expire_due", 1000)
    assert session.available(product_id) == 5


def test_an_ordered_hold_cannot_be_released(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id)
    session.call("create_order", hold_id, None)
    assert session.errno("release_hold", hold_id) == 30203
    session.travel(500)
    assert session.errno("release_hold", hold_id) == 30203
    assert session.available(product_id) == 4


def test_a_hold_cannot_be_released_from_its_deadline_on(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.stand_at("2000000000")
    in_time, too_late = session.create_hold(product_id), session.create_hold(product_id)
    session.stand_at("2000000119.999999")
    session.call("release_hold", in_time)
    session.stand_at("2000000120")
    assert session.errno("release_hold", too_late) == 30202
    session.call("expire_due", 1000)
    assert session.errno("release_hold", too_late) == 30202
    assert session.available(product_id) == 5
