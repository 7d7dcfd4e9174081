"""set_selling_rules: when a product is on sale, and how much of it one customer may have."""

from datetime import datetime
from typing import Any

import pytest

from tests.support import Session

OPENS, CLOSES = datetime(2033, 5, 18, 12), datetime(2033, 5, 18, 13)
OPENS_S, CLOSES_S = 2_000_030_400, 2_000_034_000


def test_the_rules_are_answered_and_kept(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (row,) = session.call("set_selling_rules", product_id, OPENS, CLOSES, 2)
    expected = {"product_id": product_id, "starts_at": OPENS, "ends_at": CLOSES, "maximum_per_customer": 2}
    assert list(row) == list(expected)
    assert row == expected
    assert session.call("set_selling_rules", product_id, None, None, None) == [
        {"product_id": product_id, "starts_at": None, "ends_at": None, "maximum_per_customer": None}
    ]


def test_a_sale_is_open_from_its_first_second_until_before_its_last(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.call("set_selling_rules", product_id, OPENS, CLOSES, None)
    for moment in (f"{OPENS_S - 1}.999999", str(CLOSES_S), str(CLOSES_S + 10_000)):
        session.stand_at(moment)
        assert session.errno("create_hold", product_id, 1, None) == 30104
    for moment in (str(OPENS_S), f"{CLOSES_S - 1}.999999"):
        session.stand_at(moment)
        assert session.create_hold(product_id)


def test_half_a_window_is_open_on_its_other_side(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.call("set_selling_rules", product_id, OPENS, None, None)
    session.stand_at(str(CLOSES_S))
    assert session.create_hold(product_id)
    session.call("set_selling_rules", product_id, None, CLOSES, None)
    session.stand_at(str(OPENS_S - 1))
    assert session.create_hold(product_id)
    session.stand_at(str(CLOSES_S))
    assert session.errno("create_hold", product_id, 1, None) == 30104


def test_holds_of_a_sale_that_closed_may_still_be_ordered(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id)
    session.call("set_selling_rules", product_id, None, "2020-01-01 00:00:00", None)
    session.call("extend_hold", hold_id)
    assert session.call("create_order", hold_id, None)


def test_a_new_maximum_counts_what_its_customers_have(session: Session) -> None:
    product_id = session.create_product(stock=9)
    request = {"product_id": product_id, "quantity": 2, "customer_id": "ada"}
    assert session.errnos("create_holds", [request]) == [None]
    session.call("set_selling_rules", product_id, None, None, 3)
    assert session.errnos("create_holds", [request, {**request, "quantity": 1}]) == [30105, None]
    session.call("set_selling_rules", product_id, None, None, 5)
    assert session.errnos("create_holds", [request]) == [None]


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "maximum"),
    [(OPENS, OPENS, None), (CLOSES, OPENS, None), (None, None, 0), (None, None, -1), (None, None, 1_000_001)],
)
def test_rules_that_cannot_be_are_malformed(session: Session, starts_at: Any, ends_at: Any, maximum: Any) -> None:
    product_id = session.create_product(stock=5)
    assert session.errno("set_selling_rules", product_id, starts_at, ends_at, maximum) == 30001
    assert session.create_hold(product_id)


def test_what_is_no_date_is_malformed_where_mysql_is_not_strict(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.execute("SET sql_mode = ''")
    for wrong in ("2033-02-30 12:00:00", "soon", ""):
        assert session.errno("set_selling_rules", product_id, wrong, None, None) == 30001
        assert session.errno("set_selling_rules", product_id, None, wrong, None) == 30001


def test_an_unknown_product_is_not_found(session: Session) -> None:
    assert session.errno("set_selling_rules", 10**8, None, None, None) == 30101


@pytest.mark.parametrize("product_id", [None, 0, -1])
def test_a_product_id_that_cannot_be_is_malformed(session: Session, product_id: int | None) -> None:
    assert session.errno("set_selling_rules", product_id, None, None, None) == 30001
