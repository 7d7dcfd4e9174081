"""create_hold: reserve units of one product."""

from datetime import datetime, timedelta

import pytest

from tests.support import Session


def test_a_hold_reduces_the_available_stock(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (hold,) = session.call("create_hold", product_id, 2, None)
    assert list(hold) == ["hold_id", "expires_at", "replayed"]
    assert hold["replayed"] == 0
    assert session.available(product_id) == 3


def test_the_last_units_can_be_held(session: Session) -> None:
    product_id = session.create_product(stock=3)
    session.create_hold(product_id, 3)
    assert session.available(product_id) == 0
    assert session.errno("create_hold", product_id, 1, None) == 30102


@pytest.mark.parametrize(("fraction", "rounded_up"), [("", 0), (".000001", 1), (".5", 1), (".999999", 1)])
def test_a_deadline_is_a_whole_second_rounded_up(session: Session, fraction: str, rounded_up: int) -> None:
    product_id = session.create_product(stock=1)
    session.stand_at(f"2000000000{fraction}")
    (hold,) = session.call("create_hold", product_id, 1, None)
    assert hold["expires_at"] == datetime(1970, 1, 1) + timedelta(seconds=2_000_000_120 + rounded_up)


def test_more_than_is_available_is_refused(session: Session) -> None:
    product_id = session.create_product(stock=5)
    assert session.errno("create_hold", product_id, 6, None) == 30102
    assert session.available(product_id) == 5


def test_the_maximum_per_hold_is_checked_before_the_stock(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.call("change_product", product_id, "Limited Edition Item", "100.00", 2)
    assert session.errno("create_hold", product_id, 3, None) == 30103
    assert session.errno("create_hold", product_id, 9, None) == 30103
    assert session.create_hold(product_id, 2)


@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", ""])
def test_a_large_quantity_is_not_truncated(session: Session, sql_mode: str) -> None:
    product_id = session.create_product(stock=1_000_000)
    session.execute("SET sql_mode = %s", sql_mode)
    session.create_hold(product_id, 500)
    assert session.available(product_id) == 999_500
    hold_id = session.create_hold(product_id, 999_500)
    assert session.call("get_hold", hold_id)[0]["quantity"] == 999_500


def test_a_replay_returns_the_first_answer_and_takes_no_units(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (first,) = session.call("create_hold", product_id, 2, "replay")
    session.travel(30)
    (again,) = session.call("create_hold", product_id, 2, "replay")
    assert again == {**first, "replayed": 1}
    assert session.available(product_id) == 3


def test_a_replay_is_accepted_when_the_product_is_sold_out(session: Session) -> None:
    product_id = session.create_product(stock=2)
    (first,) = session.call("create_hold", product_id, 2, "sold out")
    assert session.errno("create_hold", product_id, 1, None) == 30102
    assert session.call("create_hold", product_id, 2, "sold out") == [{**first, "replayed": 1}]


@pytest.mark.parametrize("fate", ["expired", "released", "ordered", "purged"])
def test_a_replay_returns_the_first_answer_in_every_state_of_the_hold(session: Session, fate: str) -> None:
    product_id = session.create_product(stock=2)
    (first,) = session.call("create_hold", product_id, 1, fate)
    if fate == "released":
        session.call("release_hold", first["hold_id"])
    elif fate == "ordered":
        session.call("create_order", first["hold_id"], None)
    else:
        session.travel(121)
        session.call("expire_due", 1000)
    if fate == "purged":
        session.execute("DELETE FROM holds WHERE id = %s", first["hold_id"])
    available = session.available(product_id)
    assert session.call("create_hold", product_id, 1, fate) == [{**first, "replayed": 1}]
    assert session.available(product_id) == available
    if fate != "purged":
        assert session.status_of("hold", first["hold_id"]) == fate


def test_a_key_cannot_be_used_for_another_request(session: Session) -> None:
    product_id, other_id = session.create_product(stock=5), session.create_product(stock=5)
    session.call("create_hold", product_id, 2, "reused")
    assert session.errno("create_hold", product_id, 3, "reused") == 30002
    assert session.errno("create_hold", other_id, 2, "reused") == 30002
    assert session.errno("create_hold", 2**62, 2, "reused") == 30002
    assert (session.available(product_id), session.available(other_id)) == (3, 5)


def test_keys_are_compared_as_bytes(session: Session) -> None:
    product_id = session.create_product(stock=10)
    keys = ["abc", "ABC", "ábc", "abc ", "abc\0", "\u0061\u0301bc", "k" * 255, "k" * 254]
    holds = [session.call("create_hold", product_id, 1, key)[0] for key in keys]
    assert [hold["replayed"] for hold in holds] == [0] * len(keys)
    assert session.available(product_id) == 10 - len(keys)


@pytest.mark.parametrize("sql_mode", ["STRICT_ALL_TABLES", ""])
def test_keys_of_255_bytes_that_differ_in_the_last_are_two_keys(session: Session, sql_mode: str) -> None:
    product_id = session.create_product(stock=5)
    session.execute("SET sql_mode = %s", sql_mode)
    for last in "xy":
        assert session.call("create_hold", product_id, 1, sql_mode[:1] + "l" * 253 + last)[0]["replayed"] == 0


def test_a_rejection_is_not_recorded(session: Session) -> None:
    product_id = session.create_product(stock=1)
    assert session.errno("create_hold", product_id, 2, "later") == 30102
    session.call("adjust_stock", product_id, 1, "restock", None)
    (hold,) = session.call("create_hold", product_id, 2, "later")
    assert hold["replayed"] == 0


def test_every_request_without_a_key_is_new(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.stand_at("2000000000.5")
    assert len({session.create_hold(product_id) for _ in range(5)}) == 5


def test_due_holds_expire_before_a_shortage_is_final(session: Session) -> None:
    product_id = session.create_product(stock=3)
    due = [session.create_hold(product_id), session.create_hold(product_id, 2)]
    session.travel(121)
    session.create_hold(product_id, 3)
    assert [session.status_of("hold", hold_id) for hold_id in due] == ["expired", "expired"]
    assert session.available(product_id) == 0


def test_overdue_orders_are_cancelled_before_a_shortage_is_final(session: Session) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_order(product_id, 2)
    session.travel(901)
    session.create_hold(product_id)
    assert session.status_of("order", order_id) == "cancelled"
    assert session.available(product_id) == 1


def test_a_shortage_expires_only_due_holds_of_its_own_product(session: Session) -> None:
    product_id, other_id = session.create_product(stock=2), session.create_product(stock=1)
    held, of_other = session.create_hold(product_id), session.create_hold(other_id)
    session.travel(60)
    still_held = session.create_hold(product_id)
    session.travel(121)
    assert session.errno("create_hold", product_id, 2, None) == 30102
    rows = session.query("SELECT id, status FROM holds WHERE id IN (%s, %s, %s)", held, of_other, still_held)
    assert {row["id"]: row["status"] for row in rows} == {
        held: "expired",
        of_other: "active",
        still_held: "active",
    }


def test_a_changed_setting_moves_no_existing_deadline(session: Session) -> None:
    product_id = session.create_product(stock=2)
    (before,) = session.call("create_hold", product_id, 1, "before")
    session.call("change_setting", "hold_ttl_s", 5)
    try:
        (after,) = session.call("create_hold", product_id, 1, "after")
        assert session.call("get_hold", before["hold_id"])[0]["expires_at"] == before["expires_at"]
        assert session.call("create_hold", product_id, 1, "before")[0]["expires_at"] == before["expires_at"]
        assert after["expires_at"] < before["expires_at"] - timedelta(seconds=100)
    finally:
        session.call("change_setting", "hold_ttl_s", 120)


def test_a_product_can_be_held_only_while_its_sale_is_open(session: Session) -> None:
    product_id = session.create_product(stock=2)
    session.call("set_selling_rules", product_id, "2033-05-18 12:00:00", "2033-05-18 13:00:00", None)
    assert session.errno("create_hold", product_id, 1, None) == 30104
    session.stand_at("2000030400")
    assert session.create_hold(product_id)


def test_a_product_with_a_maximum_per_customer_needs_a_customer(session: Session) -> None:
    product_id = session.create_product(stock=2)
    session.call("set_selling_rules", product_id, None, None, 1)
    assert session.errno("create_hold", product_id, 1, None) == 30106
    assert session.available(product_id) == 2


def test_an_archived_product_is_refused(session: Session) -> None:
    product_id = session.create_product(stock=2)
    session.call("archive_product", product_id)
    assert session.errno("create_hold", product_id, 1, None) == 30107


def test_a_replay_returns_the_first_answer_after_the_sale_has_closed(session: Session) -> None:
    product_id = session.create_product(stock=2)
    (first,) = session.call("create_hold", product_id, 1, "closed meanwhile")
    session.call("set_selling_rules", product_id, None, "2020-01-01 00:00:00", 1)
    assert session.call("create_hold", product_id, 1, "closed meanwhile") == [{**first, "replayed": 1}]
