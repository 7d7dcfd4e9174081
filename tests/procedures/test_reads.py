"""get_product(s), get_hold(s), get_order(s): one row by id, or one row per element."""

from typing import Any

import pytest

from tests.support import Session

KINDS = {
    "product": (
        ["id", "name", "price", "available_stock", "version", "sale_starts_at", "sale_ends_at", "maximum_per_customer"],
        30101,
    ),
    "hold": (["hold_id", "product_id", "quantity", "status", "expires_at", "order_id", "unit_price"], 30201),
    "order": (
        ["order_id", "hold_id", "product_id", "quantity", "amount", "status", "payment_due_at", "lines"],
        30301,
    ),
}


@pytest.fixture
def row_id(session: Session, kind: str) -> int:
    """The id of a new product, hold or order."""
    product_id = session.create_product(stock=5)
    if kind == "product":
        return product_id
    return session.create_hold(product_id, 2) if kind == "hold" else session.create_order(product_id, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_is_read_by_id(session: Session, kind: str, row_id: int) -> None:
    (row,) = session.call(f"get_{kind}", row_id)
    assert [column for column in row if column != "errno"] == KINDS[kind][0]
    assert next(iter(row.values())) == row_id


@pytest.mark.parametrize("wrong", [None, 0, -1, 2**63 - 1])
@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_id_is_not_found(session: Session, kind: str, wrong: int | None) -> None:
    assert session.errno(f"get_{kind}", wrong) == KINDS[kind][1]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_have_the_order_of_the_ids(session: Session, kind: str, row_id: int) -> None:
    rows = session.batch(f"get_{kind}s", [10**9, row_id, row_id, 2**40])
    assert [column for column in rows[0] if column != "errno"] == KINDS[kind][0]
    assert [next(iter(row.values())) for row in rows] == [None, row_id, row_id, None]
    assert [row["errno"] for row in rows] == [KINDS[kind][1], None, None, KINDS[kind][1]]
    assert {value for column, value in rows[0].items() if column != "errno"} == {None}


@pytest.mark.parametrize("status", ["pending", "success", "failure"])
def test_an_ordered_hold_names_its_order(session: Session, status: str) -> None:
    hold_id = session.create_hold(session.create_product(stock=5))
    order_id = session.call("create_order", hold_id, None)[0]["order_id"]
    if status != "pending":
        session.call("apply_payment", f"{status} of {order_id}", order_id, status)
    assert session.call("get_hold", hold_id)[0]["order_id"] == order_id


@pytest.mark.parametrize("kind", KINDS)
def test_an_element_that_is_not_an_id_is_not_found(session: Session, kind: str, row_id: int) -> None:
    wrong: list[Any] = [True, str(row_id), row_id + 0.2, None, [row_id], {"id": row_id}, 0, -1, 2**64]
    assert set(session.errnos(f"get_{kind}s", wrong)) == {KINDS[kind][1]}


def test_a_hold_is_shown_as_expired_from_its_deadline_on(session: Session) -> None:
    session.stand_at("2000000000")
    hold_id = session.create_hold(session.create_product(stock=1))
    session.stand_at("2000000119.999999")
    assert session.status_of("hold", hold_id) == "active"
    session.stand_at("2000000120")
    assert session.status_of("hold", hold_id) == "expired"


def test_an_ordered_or_released_hold_is_never_shown_as_expired(session: Session) -> None:
    product_id = session.create_product(stock=2)
    ordered, released = session.create_hold(product_id), session.create_hold(product_id)
    session.call("create_order", ordered, None)
    session.call("release_hold", released)
    session.travel(500)
    assert [session.status_of("hold", hold_id) for hold_id in (ordered, released)] == ["ordered", "released"]
