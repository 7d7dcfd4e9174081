"""get_health: the schema's version, the sweep's lag, and whether the EVENT runs."""

import pytest

from service.deploy import OWNER
from tests.support import Session


def test_the_lag_is_the_age_of_the_oldest_due_hold(session: Session) -> None:
    session.stand_at("2000000000")
    (health,) = session.call("get_health")
    assert list(health) == ["schema_version", "oldest_code", "sweep_lag_s", "is_sweep_enabled"]
    assert health["schema_version"] >= health["oldest_code"] >= 1
    assert health["sweep_lag_s"] == 0
    product_id = session.create_product(stock=2)
    session.create_hold(product_id)
    session.stand_at("2000000005")
    session.create_hold(product_id)
    for at, lag_s in (("2000000119", 0), ("2000000120", 0), ("2000000127", 7)):
        session.stand_at(at)
        assert session.call("get_health")[0]["sweep_lag_s"] == lag_s
    session.call("expire_due", 1000)
    assert session.call("get_health")[0]["sweep_lag_s"] == 0


@pytest.mark.parametrize(
    ("state", "scheduler", "is_enabled"),
    [("ENABLE", "ON", 1), ("ENABLE", "OFF", 0), ("DISABLE", "ON", 0), ("DISABLE ON REPLICA", "ON", 0)],
)
def test_the_event_is_enabled_where_the_scheduler_runs_it(
    session: Session, state: str, scheduler: str, is_enabled: int
) -> None:
    session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due {state}")
    session.execute(f"SET GLOBAL event_scheduler = {scheduler}")
    try:
        assert session.call("get_health")[0]["is_sweep_enabled"] == is_enabled
    finally:
        session.execute("SET GLOBAL event_scheduler = ON")
        session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due DISABLE")
