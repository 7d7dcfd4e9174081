"""extend_hold: extend an active hold, once."""

from datetime import datetime, timedelta

from tests.support import Session

EPOCH = datetime(1970, 1, 1)
START_S = 2_000_000_000


def deadline(session: Session, hold_id: int) -> datetime:
    """The deadline of a hold."""
    expires_at: datetime = session.call("get_hold", hold_id)[0]["expires_at"]
    return expires_at


def test_an_extension_adds_hold_extension_s_to_the_deadline(session: Session) -> None:
    session.stand_at(str(START_S))
    hold_id = session.create_hold(session.create_product(stock=1))
    session.stand_at(f"{START_S + 100}.5")
    (row,) = session.call("extend_hold", hold_id)
    assert list(row) == ["hold_id", "expires_at", "replayed"]
    assert row == {"hold_id": hold_id, "expires_at": EPOCH + timedelta(seconds=START_S + 180), "replayed": 0}
    assert deadline(session, hold_id) == row["expires_at"]


def test_a_second_extension_replays_the_first(session: Session) -> None:
    hold_id = session.create_hold(session.create_product(stock=1))
    (first,) = session.call("extend_hold", hold_id)
    assert session.call("extend_hold", hold_id) == [{**first, "replayed": 1}]
    assert deadline(session, hold_id) == first["expires_at"]


def test_an_extended_hold_expires_at_its_new_deadline(session: Session) -> None:
    session.stand_at(str(START_S))
    product_id = session.create_product(stock=1)
    hold_id = session.create_hold(product_id)
    session.call("extend_hold", hold_id)
    session.stand_at(f"{START_S + 179}.999999")
    session.call("expire_due", 1000)
    assert session.status_of("hold", hold_id) == "active"
    assert session.errno("create_hold", product_id, 1, None) == 30102
    session.stand_at(str(START_S + 180))
    assert session.errno("create_order", hold_id, None) == 30202
    session.call("expire_due", 1000)
    assert session.available(product_id) == 1


def test_an_extended_hold_can_be_ordered_after_its_first_deadline(session: Session) -> None:
    session.stand_at(str(START_S))
    hold_id = session.create_hold(session.create_product(stock=1))
    session.call("extend_hold", hold_id)
    session.stand_at(str(START_S + 150))
    session.call("create_order", hold_id, None)
    assert session.errno("extend_hold", hold_id) == 30203


def test_a_hold_at_its_deadline_cannot_be_extended(session: Session) -> None:
    session.stand_at(str(START_S))
    product_id = session.create_product(stock=2)
    in_time, too_late = session.create_hold(product_id), session.create_hold(product_id)
    session.stand_at(f"{START_S + 119}.999999")
    session.call("extend_hold", in_time)
    session.stand_at(str(START_S + 120))
    assert session.errno("extend_hold", too_late) == 30202
    session.call("expire_due", 1000)
    assert session.errno("extend_hold", too_late) == 30202
    assert session.available(product_id) == 1


def test_a_released_hold_cannot_be_extended(session: Session) -> None:
    hold_id = session.create_hold(session.create_product(stock=1))
    session.call("release_hold", hold_id)
    assert session.errno("extend_hold", hold_id) == 30204


def test_hold_extension_s_is_read_from_the_settings(session: Session) -> None:
    hold_id = session.create_hold(session.create_product(stock=1))
    before = deadline(session, hold_id)
    session.call("change_setting", "hold_extension_s", 7)
    try:
        session.call("extend_hold", hold_id)
    finally:
        session.call("change_setting", "hold_extension_s", 60)
    assert deadline(session, hold_id) == before + timedelta(seconds=7)


def test_a_replay_of_the_hold_returns_the_first_deadline(session: Session) -> None:
    product_id = session.create_product(stock=1)
    (first,) = session.call("create_hold", product_id, 1, "extended")
    session.call("extend_hold", first["hold_id"])
    assert session.call("create_hold", product_id, 1, "extended") == [{**first, "replayed": 1}]
