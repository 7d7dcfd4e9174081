"""The EVENT sweep_due: expired units return to stock without a call."""

from collections.abc import Iterator

import pytest

from service.deploy import OWNER
from tests.support import Session, eventually


@pytest.fixture(autouse=True)
def _event_runs(session: Session) -> Iterator[None]:
    session.execute("SET GLOBAL event_scheduler = ON")
    session.call("change_setting", "hold_ttl_s", 1)
    session.call("change_setting", "payment_ttl_s", 1)
    session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due ENABLE")
    yield
    session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due DISABLE")


def test_the_event_expires_due_holds_and_cancels_overdue_orders(session: Session) -> None:
    product_id = session.create_product(stock=9)
    order_id, hold_id = session.create_order(product_id, 2), session.create_hold(product_id, 3)
    eventually(lambda: session.available(product_id) == 9)
    assert session.status_of("order", order_id) == "cancelled"
    (hold,) = session.query("SELECT status FROM holds WHERE id = %s", hold_id)
    assert hold["status"] == "expired"
    sweeps = session.query("SELECT SUM(holds) AS holds, SUM(orders) AS orders, SUM(units) AS units FROM sweeps")
    assert sweeps == [{"holds": 1, "orders": 1, "units": 5}]
