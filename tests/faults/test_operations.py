"""Operations and killed processes under load: nothing is lost or sold twice."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

import pytest

from service import deploy as service_deploy
from service.deploy import deploy
from tests.faults.ledger import HOLD_EXPIRED, assert_nobody_noticed, snapshot, steady_load
from tests.http.support import Service
from tests.support import Session, eventually, race

SWEEPERS = 4
DUE = 1000

# Changes that a release may make to tables in use, because the running code works with them.
PENDING_MIGRATIONS = {
    "9001.add-note-to-holds.sql": "ALTER TABLE holds ADD COLUMN note VARCHAR(64) NULL",
    "9002.index-orders-by-product.sql": "CREATE INDEX orders_by_product ON orders (product_id)",
    "9003.add-note-to-stock.sql": "ALTER TABLE stock ADD COLUMN note VARCHAR(64) NULL",
}


def test_nothing_accepted_is_lost_when_a_worker_is_killed(service: Service, database_url: str) -> None:
    with steady_load(service, database_url) as load:
        while load.ledger.statuses()[0] == 0:  # no request was in flight
            workers = service.workers()
            victim = random.choice(sorted(workers))
            os.kill(victim, SIGKILL)
            eventually(lambda: len(service.workers() - {victim}) == len(workers))  # noqa: B023 called in this turn
            load.assert_back_in_service()


def test_workers_end_when_the_master_is_killed_and_the_service_can_start_again(
    service: Service, database_url: str
) -> None:
    with steady_load(service, database_url) as load:
        service.kill_master()
        service.start()
        load.assert_back_in_service()


def test_a_stop_under_load_answers_every_request_that_takes_effect(service: Service, database_url: str) -> None:
    with steady_load(service, database_url) as load:
        service.stop()
        load.stop()
        with snapshot(database_url) as session:
            assert load.ledger.untold(session) == []
        service.start()


def test_a_reload_under_load_answers_every_request_that_takes_effect(service: Service, database_url: str) -> None:
    with steady_load(service, database_url) as load:
        service.reload()
        load.assert_back_in_service()
        load.stop()
        with snapshot(database_url) as session:
            assert load.ledger.untold(session) == []


def test_no_client_notices_a_deploy_that_replaces_every_routine(
    service: Service, database_url: str, session: Session
) -> None:
    with steady_load(service, database_url) as load:
        session.execute("DELETE FROM installed_objects WHERE name LIKE 'procedures/%%'")
        deploy(database_url)
        load.wait_until_served()
    assert_nobody_noticed(load)


def test_no_client_notices_a_deploy_that_migrates_tables_in_use(
    service: Service, database_url: str, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next release has three more migrations."""
    for folder in ("migrations", "sql"):
        shutil.copytree(service_deploy.ROOT / folder, tmp_path / folder)
    for name, statement in PENDING_MIGRATIONS.items():
        (tmp_path / "migrations" / name).write_text(statement)
    monkeypatch.setattr(service_deploy, "ROOT", tmp_path)
    with steady_load(service, database_url) as load:
        assert "3 migrations applied" in deploy(database_url)
        load.wait_until_served()
    assert_nobody_noticed(load)
    assert session.query("SELECT note FROM stock LIMIT 1") == [{"note": None}]


def test_expired_stock_is_sold_again_while_the_event_scheduler_is_off(
    service: Service, database_url: str, session: Session
) -> None:
    with steady_load(service, database_url, refusals=[HOLD_EXPIRED]) as load, short_holds(session):
        session.execute("SET GLOBAL event_scheduler = OFF")
        try:
            product_id = session.create_product(stock=1)
            hold_id = session.create_hold(product_id)
            eventually(lambda: session.status_of("hold", hold_id) == "expired")
            session.create_hold(product_id)
        finally:
            session.execute("SET GLOBAL event_scheduler = ON")
        eventually(lambda: session.available(product_id) == 1)
        load.wait_until_served()


def test_overlapping_sweeps_return_every_unit_once(
    service: Service, database_url: str, connect: Callable[[], Session]
) -> None:
    sessions = [connect() for _ in range(SWEEPERS)]
    session = sessions[0]
    product_id = session.create_product(DUE)
    with steady_load(service, database_url, refusals=[HOLD_EXPIRED]), short_holds(session):
        session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * DUE)
        while session.available(product_id) < DUE:
            race(*(lambda sweeper=sweeper: sweeper.call("expire_due", 100) for sweeper in sessions))
    assert session.call("check_stock") == []


@contextmanager
def short_holds(session: Session) -> Iterator[None]:
    """Let new holds expire after one second."""
    session.call("change_setting", "hold_ttl_s", 1)
    try:
        yield
    finally:
        session.call("change_setting", "hold_ttl_s", 120)
