"""reduce_hold: reduce the quantity of an active hold."""

from datetime import datetime

import pytest

from tests.support import Session


def test_the_units_that_a_hold_gives_up_are_available_at_once(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.stand_at("2000000000")
    hold_id = session.create_hold(product_id, 5)
    session.stand_at("2000000060")
    (row,) = session.call("reduce_hold", hold_id, 2)
    assert row == {"hold_id": hold_id, "quantity": 2, "expires_at": datetime(2033, 5, 18, 3, 35, 20), "replayed": 0}
    assert session.available(product_id) == 3
    assert session.create_hold(product_id, 3)


def test_reducing_again_to_the_same_quantity_changes_nothing(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id, 3)
    (first,) = session.call("reduce_hold", hold_id, 1)
    assert session.call("reduce_hold", hold_id, 1) == [{**first, "replayed": 1}]
    assert session.available(product_id) == 4


@pytest.mark.parametrize(("quantity", "errno"), [(0, 30001), (-1, 30001), (None, 30001), (4, 30103), (2**62, 30103)])
def test_a_hold_can_neither_be_emptied_nor_raised(session: Session, quantity: int | None, errno: int) -> None:
    product_id = session.create_product(stock=9)
    hold_id = session.create_hold(product_id, 3)
    assert session.errno("reduce_hold", hold_id, quantity) == errno
    assert session.available(product_id) == 6


def test_a_hold_is_reduced_until_its_deadline(session: Session) -> None:
    product_id = session.create_product(stock=4)
    session.stand_at("2000000000")
    in_time, too_late = session.create_hold(product_id, 2), session.create_hold(product_id, 2)
    session.stand_at("2000000119.999999")
    session.call("reduce_hold", in_time, 1)
    session.stand_at("2000000120")
    assert session.errno("reduce_hold", too_late, 1) == 30202
    session.call("expire_due", 1000)
    assert session.errno("reduce_hold", too_late, 1) == 30202
    assert session.available(product_id) == 4


def test_an_ordered_or_released_hold_cannot_be_reduced(session: Session) -> None:
    product_id = session.create_product(stock=4)
    ordered, released = session.create_hold(product_id, 2), session.create_hold(product_id, 2)
    session.call("create_order", ordered, None)
    session.call("release_hold", released)
    assert session.errno("reduce_hold", ordered, 1) == 30203
    assert session.errno("reduce_hold", released, 1) == 30204
    assert session.errno("reduce_hold", 10**8, 1) == 30201


def test_the_order_and_the_replay_of_a_reduced_hold(session: Session) -> None:
    product_id = session.create_product(stock=5, price="10.00")
    (hold,) = session.call("create_hold", product_id, 3, "reduced")
    session.call("reduce_hold", hold["hold_id"], 2)
    assert session.call("create_hold", product_id, 3, "reduced") == [{**hold, "replayed": 1}]
    (order,) = session.call("create_order", hold["hold_id"], None)
    (read,) = session.call("get_order", order["order_id"])
    assert (read["quantity"], read["amount"]) == (2, 20)
    session.call("cancel_order", order["order_id"])
    assert session.available(product_id) == 5


@pytest.mark.parametrize("end", ["release_hold", "expire_due"])
def test_a_reduced_hold_returns_what_it_kept(session: Session, end: str) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id, 5)
    session.call("reduce_hold", hold_id, 2)
    session.travel(121 if end == "expire_due" else 0)
    session.call(end, 1000 if end == "expire_due" else hold_id)
    assert session.available(product_id) == 5


def test_the_units_that_a_hold_gives_up_no_longer_count_for_its_customer(session: Session) -> None:
    product_id = session.create_product(stock=9)
    session.call("set_selling_rules", product_id, None, None, 3)
    (row,) = session.batch("create_holds", [{"product_id": product_id, "quantity": 3, "customer_id": "ada"}])
    further = [{"product_id": product_id, "quantity": 2, "customer_id": "ada"}]
    assert session.errnos("create_holds", further) == [30105]
    session.call("reduce_hold", row["hold_id"], 1)
    assert session.errnos("create_holds", further) == [None]
    assert session.errnos("create_holds", [{**further[0], "quantity": 1}]) == [30105]
