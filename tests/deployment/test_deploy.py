"""The guide's deploy under load: no client sees an error, and nothing is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deployment.guide import Operator
from tests.deployment.nginx import Nginx
from tests.faults.ledger import steady_load
from tests.http.support import Service
from tests.support import Session


def port_of(service: Service) -> str:
    return service.url.rpartition(":")[2]


@pytest.fixture
def next_service(app_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A second instance, not started yet."""
    instance = Service(tmp_path_factory.mktemp("next"), app_url, redis_url, REQUEST_DEADLINE_S="10")
    yield instance
    instance.begin_stop()
    instance.finish()


@pytest.fixture
def operator(service: Service, next_service: Service, nginx: Nginx, database_url: str, tmp_path: Path) -> Operator:
    """An operator of two instances behind nginx."""
    old, new = port_of(service), port_of(next_service)
    operator = Operator(
        tmp_path,
        database_url,
        units={
            f"systemctl enable --now checkout@{new}": next_service.start,
            "systemctl reload nginx": nginx.reload,
            f"systemctl disable --now checkout@{old}": service.stop,
        },
        exchange={
            "8000": old,
            "8001": new,
            "/etc/nginx/conf.d": str(nginx.configuration.parent),
            "/run/nginx.pid": str(nginx.configuration.with_name("nginx.pid")),
        },
    )
    operator.release(new)
    return operator


@pytest.fixture
def nginx(start_nginx: Callable[..., Nginx], service: Service) -> Nginx:
    """Nginx in front of the first instance."""
    return start_nginx(service)


@pytest.fixture
def _changed_routine(session: Session) -> None:
    """Make the deploy replace create_holds, as a release that changes it does."""
    session.execute("DELETE FROM installed_objects WHERE name = 'procedures/create_holds.sql'")


@pytest.mark.usefixtures("_changed_routine")
def test_no_client_notices_a_deploy(
    operator: Operator, nginx: Nginx, service: Service, next_service: Service, database_url: str
) -> None:
    with steady_load(nginx, database_url) as load:
        assert "1 routines, views and events installed" in operator.run("Deploy without downtime")
        load.wait_until_served()
    assert service.exit_code() == 0
    assert next_service.events("hold_created")
    assert set(load.ledger.statuses()) <= {200, 201, 202, 409}, load.ledger.statuses()
