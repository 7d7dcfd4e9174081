"""Faults between the service and MySQL under load: resets, delay, silence, KILL, deadlocks, long locks."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.ledger import assert_nobody_noticed, kill_connections, steady_load
from tests.http.proxy import Loss, Proxy, proxy_of
from tests.http.support import Service, hold_request
from tests.support import Session, eventually, is_waited_for

LOSSES = 2  # a batch has three attempts, and may suffer every loss
LATENCY_S = 0.2


@pytest.fixture(scope="module")
def proxy(app_url: str) -> Iterator[Proxy]:
    """A proxy between a service and MySQL."""
    with proxy_of(app_url) as running:
        yield running


@pytest.fixture(scope="module")
def distant_service(start_service: Callable[..., Service], proxy: Proxy) -> Service:
    """A service that reaches MySQL through the proxy."""
    return start_service(mysql_url=proxy.url)


@pytest.fixture(scope="module")
def patient_service(start_service: Callable[..., Service], proxy: Proxy) -> Service:
    """The same with a deadline that retries meet on a slow machine, too."""
    return start_service(mysql_url=proxy.url, request_deadline_s="10")


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.CONNECTION, Loss.ANSWER])
def test_no_client_notices_a_reset_before_a_call_during_it_or_after_its_commit(
    patient_service: Service, database_url: str, proxy: Proxy, loss: Loss
) -> None:
    with steady_load(patient_service, database_url) as load:
        for number in range(proxy.losses, proxy.losses + LOSSES):
            proxy.lose_next(loss, spare_opening=True)
            eventually(lambda: proxy.losses > number)  # noqa: B023 called in this turn
            load.wait_until_served(2)
    assert_nobody_noticed(load)


def test_no_client_sees_an_error_when_mysql_is_200_ms_away(
    patient_service: Service, database_url: str, proxy: Proxy
) -> None:
    with steady_load(patient_service, database_url) as load:
        proxy.latency_s = LATENCY_S
        load.wait_until_served(3)
        proxy.latency_s = 0
    assert_nobody_noticed(load)


def test_nothing_accepted_is_lost_while_no_packet_gets_through(
    distant_service: Service, database_url: str, proxy: Proxy
) -> None:
    with steady_load(distant_service, database_url) as load:
        with proxy.black_hole():
            eventually(lambda: distant_service.events("database_unavailable", reason="no_answer"))
        load.assert_back_in_service()
    assert load.ledger.statuses()[503] > 0


def test_no_client_notices_killed_connections(service: Service, database_url: str, session: Session) -> None:
    with steady_load(service, database_url) as load:
        for _ in range(5):
            # A batch has three attempts; its retries must be over before the next kill.
            kill_connections(session)
            load.wait_until_served(3)
    assert_nobody_noticed(load)


def test_no_client_notices_a_deadlock(service: Service, database_url: str, connect: Callable[[], Session]) -> None:
    """A DBA's transaction and the service's wait for each other; MySQL rolls back the smaller one, the service's."""
    watcher, rival = connect(), connect()
    deadlocks = len(service.events("call_retry", errno=1213))
    with steady_load(service, database_url) as load:
        for _ in range(3):
            provoke_deadlock(service, watcher, rival)
    assert len(service.events("call_retry", errno=1213, reason="deadlock")) >= deadlocks + 3
    assert_nobody_noticed(load)


def test_nothing_accepted_is_lost_when_a_lock_is_held_for_too_long(
    service: Service, database_url: str, connect: Callable[[], Session]
) -> None:
    dba = connect()
    with steady_load(service, database_url) as load:
        dba.execute("START TRANSACTION")
        dba.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", load.ledger.products[0])
        eventually(lambda: service.events("call_retry", errno=1205, reason="locked"))
        dba.execute("COMMIT")
        load.assert_back_in_service()


def provoke_deadlock(service: Service, watcher: Session, rival: Session) -> None:
    """Make a batch with requests of the load, and one more hold, the victim of a deadlock."""
    product_id, key = watcher.create_product(stock=1), str(uuid.uuid4())
    record = (
        "INSERT INTO idempotency_keys (operation, idempotency_key, fingerprint, result_id, purge_after)"
        " VALUES ('hold', %s, '', 0, UTC_TIMESTAMP())"
    )
    rival.execute("START TRANSACTION")
    for _ in range(100):
        rival.execute(record, str(uuid.uuid4()))
    rival.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)
    with ThreadPoolExecutor(1) as pool, service.client() as client:
        answer = pool.submit(client.request, **hold_request(product_id, 1, key))
        eventually(lambda: is_waited_for(watcher, rival))
        rival.execute(record, key)
        rival.execute("ROLLBACK")
        assert answer.result().status_code == 201
