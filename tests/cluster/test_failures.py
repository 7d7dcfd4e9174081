"""Members of a group die and freeze under load: nothing is lost, nothing happens twice, and the sale goes on by itself.

script/test --soak tests/cluster/test_failures.py -n0 kills the primary ten times instead of once.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from stack.group import Group
from tests.faults.ledger import HOLD_EXPIRED, Load, assert_nobody_noticed, steady_load
from tests.faults.test_operations import short_holds
from tests.http.support import Service, Shop
from tests.support import Session, eventually

PATIENCE_S = 60
ROUNDS, ROUNDS_OF_SOAK = 1, 10

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("sweep_every_second")]


def test_a_primary_that_is_killed_loses_nothing_and_rejoins_while_the_new_one_keeps_deadlines(
    service: Service, database_url: str, group: Group, request: pytest.FixtureRequest
) -> None:
    rounds = ROUNDS_OF_SOAK if request.config.getoption("--soak") else ROUNDS
    # Ten rounds take longer than a hold lives; who asks again at the end may find it expired.
    with steady_load(service, database_url, refusals=[HOLD_EXPIRED] if rounds > ROUNDS else []) as load:
        for _ in range(rounds):
            killed = group.primary()
            killed.kill()
            killed.start()  # at once, as systemd does
            load.wait_until_served(within_s=PATIENCE_S)
            killed.wait_until_online()
            assert group.primary() is not killed
    # The EVENT of a server is disabled when it becomes the primary; the service enables it.
    with closing(Session(database_url)) as session, short_holds(session):
        product_id = session.create_product(stock=1)
        session.create_hold(product_id)
        eventually(lambda: session.available(product_id) == 1)


def test_a_primary_that_is_frozen_loses_nothing_and_is_not_believed_when_it_goes_on(
    service: Service, database_url: str, group: Group
) -> None:
    frozen = group.primary()
    with steady_load(service, database_url) as load:
        frozen.pause()
        load.wait_until_served(within_s=PATIENCE_S)
        with reading_new_holds(service, database_url):
            frozen.resume()
            eventually(lambda: frozen.status().role == "SECONDARY", within_s=PATIENCE_S)


@contextmanager
def reading_new_holds(service: Service, database_url: str) -> Iterator[None]:
    """Make holds as long as the block lasts, and read each at once: a server with old rows would not know it."""
    with closing(Session(database_url)) as session:
        product_id = session.create_product(stock=1_000_000)
    is_over = threading.Event()
    statuses: list[int] = []

    def make_and_read() -> None:
        with service.client() as client:
            shop = Shop(client)
            while not is_over.is_set():
                statuses.append(client.get(f"/api/holds/{shop.hold(product_id)}").status_code)

    reader = threading.Thread(target=make_and_read)
    reader.start()
    try:
        yield
    finally:
        is_over.set()
        reader.join()
    assert set(statuses) == {200}


def test_without_a_majority_nothing_is_accepted_and_nothing_is_lost(
    service: Service, database_url: str, group: Group
) -> None:
    primary = group.primary()
    secondaries = [member for member in group.members if member is not primary]
    with steady_load(service, database_url) as load:
        for member in secondaries:
            member.kill()
        killed_at = time.monotonic()
        eventually(lambda: primary.status().state == "ERROR", within_s=PATIENCE_S)
        eventually(lambda: service.status_of("/readyz") == 503)
        assert accepted_since(load, killed_at + 3) == []
        group.start()
        load.wait_until_served(within_s=PATIENCE_S)


def accepted_since(load: Load, since: float) -> list[object]:
    """The requests that were accepted since then, and not before."""
    answers = [answer for entry in load.ledger.entries for answer in entry.answers]
    return [answer for answer in answers if answer.at > since and answer.status == 201 and not answer.replayed]


def test_a_secondary_that_is_killed_is_not_noticed(service: Service, database_url: str, group: Group) -> None:
    secondary = next(member for member in group.members if member is not group.primary())
    with steady_load(service, database_url) as load:
        secondary.kill()
        eventually(lambda: group.primary().status().members == 2, within_s=PATIENCE_S)
        load.wait_until_served()
    assert_nobody_noticed(load)
    secondary.start()
