"""The guide's backup under load, and its restore into an empty server, on which the sale continues."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.deploy import read_routines
from service.mysql_url import MysqlUrl
from stack.mysql import MysqlServer
from stack.programs import find_mysqld
from stack.servers import socket_folder
from tests.deployment.guide import Operator
from tests.faults.ledger import Ledger, steady_load
from tests.http.support import Service, Shop
from tests.support import PASSWORDS, Session, eventually

pytestmark = pytest.mark.usefixtures("sweep_every_second")

Accepted = set[tuple[str, str]]


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[MysqlServer]:
    """A MySQL server without databases of the project."""
    with socket_folder(tmp_path) as sockets:
        server = MysqlServer(tmp_path / "mysql", sockets, find_mysqld(), buffer_pool_mib=128)
        server.start()
        yield server
        server.stop()


def accepted_by(ledger: Ledger) -> Accepted:
    """The kind and key of every request that a client knows is accepted, without reductions, which have no key."""
    return {(entry.kind, entry.key) for entry in ledger.entries if entry.told and entry.kind != "reduction"}


def recorded_in(session: Session) -> Accepted:
    """The kind and key of every request that the database has recorded."""
    rows = session.query(
        "SELECT operation AS kind, CONVERT(idempotency_key USING utf8mb4) AS k FROM idempotency_keys"
        " UNION ALL SELECT 'payment', CONVERT(idempotency_key USING utf8mb4) FROM payment_events"
    )
    return {(row["kind"], row["k"]) for row in rows}


def test_everything_accepted_before_a_dump_exists_after_a_restore(
    service: Service, database_url: str, redis_url: str, tmp_path: Path, empty_server: MysqlServer
) -> None:
    name = MysqlUrl.parse(database_url).database
    exchange = {"--databases checkout": f"--databases {name}", "--database=checkout": f"--database={name}"}
    with steady_load(service, database_url) as load:
        load.wait_until_served()
        accepted = accepted_by(load.ledger)
        Operator(tmp_path / "shop", database_url, exchange=exchange).run("Back up")
        load.wait_until_served()
    assert set(load.ledger.statuses()) <= {200, 201, 202, 409}, "a dump must not hold up the sale"
    product_id = load.ledger.products[0]
    service.stop()

    restored = empty_server.url.for_database(name)
    operator = Operator(tmp_path / "restored", str(restored), redis_url=redis_url, exchange=exchange)
    (tmp_path / "shop/var/backups/checkout.sql").rename(tmp_path / "restored/var/backups/checkout.sql")
    said = operator.run("Restore").splitlines()
    assert said == [f"{name}: 0 migrations applied, {len(read_routines())} routines, views and events installed"]

    app = str(restored.for_account("checkout_app", PASSWORDS["checkout_app"]))
    with closing(Session(str(restored))) as session:
        assert accepted
        assert accepted <= recorded_in(session)
        second = Service(tmp_path, app, redis_url)
        second.start()
        with second.client() as client:
            assert_it_sells_on(Shop(client), session, product_id)
        second.stop()


def assert_it_sells_on(shop: Shop, session: Session, product_id: int) -> None:
    """Check that reads, sales and the sweep work in the restored database."""
    available = session.available(product_id)
    assert shop.available(product_id) == available
    shop.pay("after the restore", shop.ordered(product_id))
    session.call("change_setting", "hold_ttl_s", 1)
    shop.hold(product_id)
    assert session.available(product_id) == available - 2
    eventually(lambda: session.available(product_id) == available - 1)
    assert session.call("check_stock") == []
