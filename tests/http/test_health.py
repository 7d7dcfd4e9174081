"""Liveness and readiness."""

import httpx

from service import __version__
from tests.http.support import assert_common_headers
from tests.support import Session, eventually


def test_healthz_is_200_while_the_process_runs(client: httpx.Client) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}
    assert_common_headers(response)


def test_readyz_is_200_with_mysql_and_redis(client: httpx.Client) -> None:
    # On a slow machine, a worker's first connection to Redis may take longer than the 0.1 s that it has.
    response = eventually(lambda: (answer := client.get("/readyz")).json()["redis"] == "ok" and answer)
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "version": __version__,
        "mysql": "ok",
        "redis": "ok",
        "sweep_lag_s": 0,
        "sweep_event": "disabled",
    }
    assert_common_headers(response)


def test_readyz_shows_the_sweep_s_lag(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=1)
    session.travel(-180)
    session.call("create_hold", product_id, 1, None)
    session.travel(0)
    assert 55 <= client.get("/readyz").json()["sweep_lag_s"] <= 65
    session.call("expire_due", 1000)
    assert client.get("/readyz").json()["sweep_lag_s"] == 0


def test_readyz_is_503_with_a_schema_that_needs_newer_code(client: httpx.Client, session: Session) -> None:
    session.execute("UPDATE schema_release SET oldest_code = 1000")
    try:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["missing"] == "schema"
        assert client.get("/healthz").status_code == 200
    finally:
        session.execute("UPDATE schema_release SET oldest_code = 1")
    assert client.get("/readyz").status_code == 200
