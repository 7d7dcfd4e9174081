"""get_health: the schema's version and the sweep's lag."""

from tests.support import Session


def test_the_lag_is_the_age_of_the_oldest_due_hold(session: Session) -> None:
    session.stand_at("2000000000")
    (health,) = session.call("get_health")
    assert list(health) == ["schema_version", "oldest_code", "sweep_lag_s"]
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
