"""Workers and cron programs of the release before run beside those of this release, on one MySQL and one Redis."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bench.revision import find_commit
from service.mysql_url import MysqlUrl
from stack.errors import StackError
from stack.servers import PROJECT
from tests.http.support import Service, Shop
from tests.support import PASSWORDS, Session, eventually

LAST_COMMIT_BEFORE = "ca8bf1ace329a3a069cc25bab70c1b99f741dbe9"  # of release 0.9
MEMBERS_BEFORE = {"id", "name", "price", "available_stock"}
MEMBERS = MEMBERS_BEFORE | {"sale_ends_at"}


@dataclass(frozen=True)
class Release:
    """The code of a release, a shop at its one worker, and the members of a product that the worker shows."""

    folder: Path
    shop: Shop
    members: set[str]

    def read(self, product_id: int) -> dict[str, Any]:
        """The product, whose members must be those of the release."""
        document: dict[str, Any] = self.shop.client.get(f"/api/products/{product_id}").json()
        assert set(document) == self.members
        return document

    def refresh_cache(self, environment: dict[str, str]) -> int:
        """Run the release's cron program once; returns how many products it refreshed."""
        done = subprocess.run(
            [sys.executable, "-m", "cron.refresh_availability", "--once"],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return int(json.loads(done.stdout.splitlines()[-1])["products"])


@pytest.fixture(scope="module")
def folder_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the release before. Skips where git does not have them."""
    try:
        commit = find_commit(LAST_COMMIT_BEFORE)
    except StackError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("before")
    archive = subprocess.run(
        ["git", "archive", commit, "cron", "gunicorn.conf.py", "service"], cwd=PROJECT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def releases(folder_before: Path, start_service: Callable[..., Service]) -> Iterator[tuple[Release, ...]]:
    """The release before, and this one."""
    with ExitStack() as clients:
        yield tuple(
            Release(
                folder,
                Shop(clients.enter_context(start_service(release=folder, WEB_CONCURRENCY="1").client())),
                members,
            )
            for folder, members in ((folder_before, MEMBERS_BEFORE), (PROJECT, MEMBERS))
        )


@pytest.fixture
def product_id(session: Session) -> int:
    """A product on sale until 2099."""
    product_id = session.create_product(stock=100)
    session.call("set_selling_rules", product_id, None, "2099-01-01 00:00:00", None)
    return product_id


def test_no_worker_serves_a_body_of_the_other_release(releases: tuple[Release, ...], product_id: int) -> None:
    for writer, first, second in product(releases, repeat=3):
        writer.shop.hold(product_id)
        for reader in (first, second):
            reader.read(product_id)
    for release in releases:
        eventually(lambda release=release: release.read(product_id)["available_stock"] == 92)


def test_no_stream_sends_a_body_of_the_other_release(releases: tuple[Release, ...], product_id: int) -> None:
    for release in releases:
        with release.shop.client.stream("GET", f"/api/products/{product_id}/stock/stream") as stream:
            events = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            available = next(events)["available_stock"]
            for writer in releases:
                writer.shop.hold(product_id)
            for event in events:
                assert set(event) == release.members
                if event["available_stock"] == available - 2:
                    break


def test_no_cron_program_refreshes_a_body_of_the_other_release(
    releases: tuple[Release, ...], product_id: int, session: Session, database_url: str, redis_url: str
) -> None:
    account = MysqlUrl.parse(database_url).for_account("checkout_cron", PASSWORDS["checkout_cron"])
    environment = {"MYSQL_URL": str(account), "REDIS_URL": redis_url}
    for release in releases:
        release.read(product_id)
    for release in releases:
        session.create_hold(product_id)
        # On a slow machine, Redis may not answer the program within 0.1 s.
        eventually(lambda release=release: release.refresh_cache(environment) >= 1)
        for reader in releases:
            reader.read(product_id)


def test_the_release_before_sells_with_the_procedures_of_this_release(
    releases: tuple[Release, ...], product_id: int
) -> None:
    before, this = releases
    order_id = before.shop.ordered(product_id, 2)
    assert this.shop.pay("of the release before", order_id)["status"] == "paid"
    order = before.shop.client.get(f"/api/orders/{order_id}").json()
    assert (order["status"], order["quantity"]) == ("paid", 2)
    items = before.shop.client.get("/api/products", params={"after": product_id - 1}).json()["items"]
    assert [set(item) for item in items] == [MEMBERS_BEFORE]
