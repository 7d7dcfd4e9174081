"""set_selling_rules: when a product is on sale, and how much of it one customer may have."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from stack.servers import Servers
from tests.support import Session

OPENS, CLOSES = datetime(2033, 5, 18, 12), datetime(2033, 5, 18, 13)
OPENS_S, CLOSES_S = 2_000_030_400, 2_000_034_000


def test_the_rules_are_stored_and_returned(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (row,) = session.call("set_selling_rules", product_id, OPENS, CLOSES, 2)
    expected = {"product_id": product_id, "starts_at": OPENS, "ends_at": CLOSES, "maximum_per_customer": 2}
    assert list(row) == list(expected)
    assert row == expected
    assert session.call("set_selling_rules", product_id, None, None, None) == [
        {"product_id": product_id, "starts_at": None, "ends_at": None, "maximum_per_customer": None}
    ]


def test_the_product_shows_its_rules_under_a_higher_version(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (before,) = session.call("get_product", product_id)
    session.call("set_selling_rules", product_id, OPENS, CLOSES, 2)
    (after,) = session.call("get_product", product_id)
    rules = {"sale_starts_at": OPENS, "sale_ends_at": CLOSES, "maximum_per_customer": 2}
    assert after == {**before, **rules, "version": before["version"] + 1}


def test_a_refused_hold_of_a_batch_shows_the_sale_window(session: Session) -> None:
    closed_id, open_id = session.create_product(stock=5), session.create_product(stock=5)
    session.call("set_selling_rules", closed_id, OPENS, None, None)
    session.call("set_selling_rules", open_id, None, CLOSES, None)
    rows = session.batch("create_holds", [{"product_id": id_, "quantity": 1} for id_ in (closed_id, open_id)])
    assert [(row["errno"], row["sale_starts_at"], row["sale_ends_at"]) for row in rows] == [
        (30104, OPENS, None),
        (None, None, None),
    ]


def test_a_sale_is_open_from_starts_at_until_just_before_ends_at(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.call("set_selling_rules", product_id, OPENS, CLOSES, None)
    for moment in (f"{OPENS_S - 1}.999999", str(CLOSES_S), str(CLOSES_S + 10_000)):
        session.stand_at(moment)
        assert session.errno("create_hold", product_id, 1, None) == 30104
    for moment in (str(OPENS_S), f"{CLOSES_S - 1}.999999"):
        session.stand_at(moment)
        assert session.create_hold(product_id)


def test_a_window_with_one_end_is_unlimited_at_the_other(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.call("set_selling_rules", product_id, OPENS, None, None)
    session.stand_at(str(CLOSES_S))
    assert session.create_hold(product_id)
    session.call("set_selling_rules", product_id, None, CLOSES, None)
    session.stand_at(str(OPENS_S - 1))
    assert session.create_hold(product_id)
    session.stand_at(str(CLOSES_S))
    assert session.errno("create_hold", product_id, 1, None) == 30104


def test_holds_can_be_extended_and_ordered_after_their_sale_has_closed(session: Session) -> None:
    product_id = session.create_product(stock=5)
    hold_id = session.create_hold(product_id)
    session.call("set_selling_rules", product_id, None, "2020-01-01 00:00:00", None)
    session.call("extend_hold", hold_id)
    assert session.call("create_order", hold_id, None)


def test_a_new_maximum_counts_units_that_customers_already_have(session: Session) -> None:
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
def test_a_window_that_ends_before_it_starts_and_a_maximum_out_of_range_are_invalid(
    session: Session, starts_at: Any, ends_at: Any, maximum: Any
) -> None:
    product_id = session.create_product(stock=5)
    assert session.errno("set_selling_rules", product_id, starts_at, ends_at, maximum) == 30001
    assert session.create_hold(product_id)


@pytest.fixture
def other_zone(request: pytest.FixtureRequest, session: Session) -> Iterator[str]:
    """A time zone other than UTC; "named" is one with UTC's time and another name."""
    if request.param != "named":
        yield request.param
        return
    session.execute("INSERT INTO mysql.time_zone (Use_leap_seconds) VALUES ('N')")
    (row,) = session.query("SELECT LAST_INSERT_ID() AS id")
    session.execute("INSERT INTO mysql.time_zone_name VALUES ('Test/London', %s)", row["id"])
    session.execute("INSERT INTO mysql.time_zone_transition_type VALUES (%s, 0, 0, 0, 'GMT')", row["id"])
    yield "Test/London"
    for table in ("time_zone", "time_zone_name", "time_zone_transition_type"):
        session.execute(f"DELETE FROM mysql.{table} WHERE time_zone_id = %s", row["id"])


@pytest.mark.parametrize("other_zone", ["+02:00", "-08:00", "+05:30", "named"], indirect=True)
def test_a_time_is_refused_in_a_session_of_another_time_zone(session: Session, other_zone: str) -> None:
    product_id = session.create_product(stock=5)
    session.call("set_selling_rules", product_id, OPENS, CLOSES, None)
    session.execute("SET time_zone = %s", other_zone)
    for moment in ("'2033-05-18 12:30:00'", "'2033-05-18 12:30:00+00:00'", "NOW()", "UTC_TIMESTAMP()"):
        for times in (f"{moment}, NULL", f"NULL, {moment}"):
            assert session.error(f"CALL set_selling_rules({product_id}, {times}, NULL)").errno == 30001
    assert session.query("SELECT starts_at, ends_at FROM products WHERE id = %s", product_id) == [
        {"starts_at": OPENS, "ends_at": CLOSES}
    ]


def test_rules_without_a_time_are_accepted_in_any_time_zone(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.execute("SET time_zone = '+05:30'")
    (row,) = session.call("set_selling_rules", product_id, None, None, 2)
    assert row["maximum_per_customer"] == 2


def test_a_time_with_an_offset_is_stored_as_utc(session: Session) -> None:
    product_id = session.create_product(stock=5)
    (row,) = session.call("set_selling_rules", product_id, "2033-05-18 14:00:00+02:00", "2033-05-18 13:00:00", None)
    assert (row["starts_at"], row["ends_at"]) == (OPENS, CLOSES)


@pytest.fixture
def restart_mysql_at(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that restarts MySQL as on a host of another time zone; after the test the host's own is restored."""

    def restart(host_time_zone: str) -> None:
        monkeypatch.setenv("TZ", host_time_zone)
        servers.mysql.restart()

    yield restart
    monkeypatch.undo()
    servers.mysql.restart()


@pytest.mark.parametrize(
    ("host_time_zone", "is_utc"),
    [("UTC0", True), ("UTC-2", False), ("GMT0BST,M3.5.0/1,M10.5.0", False)],
    ids=["utc", "called-utc", "london-in-winter"],
)
def test_a_time_is_accepted_in_the_host_s_time_zone_only_if_that_is_utc(
    restart_mysql_at: Callable[[str], None], connect: Callable[[], Session], *, host_time_zone: str, is_utc: bool
) -> None:
    restart_mysql_at(host_time_zone)
    session = connect()
    product_id = session.create_product(stock=5)
    session.execute("SET time_zone = 'SYSTEM'")
    session.stand_at("2019686400")  # 2034-01-01
    if is_utc:
        assert session.call("set_selling_rules", product_id, OPENS, None, None)[0]["starts_at"] == OPENS
    else:
        assert session.errno("set_selling_rules", product_id, OPENS, None, None) == 30001
