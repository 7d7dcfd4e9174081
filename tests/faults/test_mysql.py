"""Faults of MySQL under load: nothing is lost or sold twice, and service returns by itself."""

import random
import time
from collections.abc import Callable

import pytest

from stack.process import Server
from tests.faults.ledger import Load, steady_load
from tests.http.support import Service

KILLS = 10
PAUSE_S = 5


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with its usual deadline, which a pause exceeds."""
    return start_service()


@pytest.mark.timeout(300)
def test_nothing_accepted_is_lost_when_mysql_is_killed_at_random(
    service: Service, database_url: str, mysql_server: Server
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    moments = random.Random(seed)
    with steady_load(service, database_url) as load:
        for _ in range(KILLS):
            time.sleep(moments.uniform(0, 0.5))
            mysql_server.kill()
            mysql_server.start()
            load.assert_back_in_service()
    assert_asked_again(load)


def test_nothing_accepted_is_lost_when_mysql_restarts(
    service: Service, database_url: str, mysql_server: Server
) -> None:
    with steady_load(service, database_url) as load:
        mysql_server.restart()
        load.assert_back_in_service()
    assert_asked_again(load)


def test_nothing_accepted_is_lost_when_mysql_is_frozen_for_5_s(
    service: Service, database_url: str, mysql_server: Server
) -> None:
    with steady_load(service, database_url) as load:
        mysql_server.pause()
        time.sleep(PAUSE_S)
        mysql_server.resume()
        load.assert_back_in_service()
    assert_asked_again(load)


def assert_asked_again(load: Load) -> None:
    """Check that the fault had an effect: some request got 503."""
    assert load.ledger.statuses()[503] > 0, load.ledger.statuses()
