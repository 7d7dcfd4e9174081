"""list_events: a caller reads the events of its own orders and holds."""

from tests.support import NOBODYS_ID, Row, Session

DAY_S = 86_400


def order_of(session: Session, product_id: int, caller: str) -> int:
    """Make an order by a caller; returns its id."""
    (hold,) = session.batch("create_holds", [{"product_id": product_id, "quantity": 1, "caller": caller}])
    (order,) = session.batch("create_orders", [{"hold_id": hold["hold_id"], "caller": caller}])
    order_id: int = order["order_id"]
    return order_id


def types_of(rows: list[Row]) -> list[tuple[str, int | None]]:
    """The types of events and their orders."""
    return [(row["type"], row["order_id"]) for row in rows]


def test_a_caller_reads_its_own_events_only(session: Session) -> None:
    product_id = session.create_product(stock=9)
    web, app = (order_of(session, product_id, caller) for caller in ("web", "äpp"))
    for status in ("failure", "success"):
        session.call("apply_payment", f"{status} {web}", web, status)
    session.batch("create_holds", [{"product_id": product_id, "quantity": 1, "caller": "äpp"}])
    session.travel(1000)
    session.call("expire_due", 10)
    of_web, (counters,) = session.call_all("list_events", "web", 0, 10)
    assert types_of(of_web) == [("order.created", web), ("order.cancelled", web), ("refund.due", web)]
    of_app, _ = session.call_all("list_events", "äpp", 0, 10)
    assert sorted(types_of(of_app)[1:]) == [("hold.expired", None), ("order.cancelled", app)]
    assert session.call_all("list_events", "nobody", 0, 10)[0] == []
    everything, _ = session.call_all("list_events", "", 0, 10)
    assert [row["position"] for row in everything] == list(range(1, 7))
    assert counters == {"last_position": 6, "oldest_position": 1, "errno": None}


def test_a_caller_with_few_events_reads_no_others(session: Session) -> None:
    product_id = session.create_product(stock=1000)
    holds = session.batch("create_holds", [{"product_id": product_id, "quantity": 1, "caller": "web"}] * 500)
    session.batch("create_orders", [{"hold_id": hold["hold_id"], "caller": "web"} for hold in holds])
    rare = order_of(session, product_id, "rare")
    session.call("list_events", "", 0, 1)
    counter = "SHOW SESSION STATUS WHERE variable_name REGEXP '^Handler_read_(key|next|rnd_next)$'"
    before = sum(int(row["Value"]) for row in session.query(counter))
    assert types_of(session.call("list_events", "rare", 1, 100)) == [("order.created", rare)]
    assert sum(int(row["Value"]) for row in session.query(counter)) - before < 60


def test_a_read_without_a_new_event_writes_nothing(session: Session) -> None:
    session.call("apply_payment", "waits", NOBODYS_ID, "success")
    session.call("list_events", "", 0, 1)
    statement = "SHOW SESSION STATUS WHERE variable_name IN ('Handler_update', 'Handler_write', 'Com_commit')"
    before = session.query(statement)
    session.call("list_events", "", 0, 1)
    changed = [row["Variable_name"] for row, old in zip(session.query(statement), before, strict=True) if row != old]
    assert "Handler_update" not in changed


def test_a_reader_that_comes_too_late_is_told_the_oldest_position(session: Session) -> None:
    _, (before,) = session.call_all("list_events", "", 0, 1)
    session.travel(31 * DAY_S)
    session.create_order(session.create_product(stock=1))
    session.call("purge_history", 10_000)
    events, (counters,) = session.call_all("list_events", "", 1, 10)
    oldest = before["last_position"] + 1
    assert events == []
    assert counters == {"last_position": oldest, "oldest_position": oldest, "errno": 30501}
