"""record_stock_check: store when stock was checked and how many products differed."""

from tests.support import Row, Session


def last_check(session: Session) -> Row:
    """The last check, as get_metrics returns it."""
    row = session.call_all("get_metrics")[1][0]
    return {name: str(row[name]) for name in ("stock_differences", "stock_checked_at")}


def test_the_last_check_is_stored(session: Session) -> None:
    assert last_check(session) == {"stock_differences": "0", "stock_checked_at": "None"}
    session.stand_at("2000000000")
    session.call_all("record_stock_check", 2)
    assert last_check(session) == {"stock_differences": "2", "stock_checked_at": "2033-05-18 03:33:20"}
    session.stand_at("2000000060")
    session.call_all("record_stock_check", 0)
    assert last_check(session) == {"stock_differences": "0", "stock_checked_at": "2033-05-18 03:34:20"}
