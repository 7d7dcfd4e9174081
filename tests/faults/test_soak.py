"""The soak test: minutes of load with random faults. Nothing is lost, and the service's memory does not grow.

    script/test --soak tests/faults/test_soak.py -n0 -s
    script/test --soak --soak-minutes 2 tests/faults/test_soak.py -n0 -s

No fault ends a worker, so that the memory of each can be compared over the whole time.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from service.deploy import deploy
from stack.servers import Servers
from tests.faults.ledger import HOLD_EXPIRED, Load, kill_connections, steady_load
from tests.http.support import Service
from tests.support import Session

QUIET_S = 10
LONGEST_PAUSE_S = 5
MEMORY_GROWTH = 1.2
MORE_FILES = 8


class Usage(NamedTuple):
    """The resources of the service: memory and files of the worker with the most, and connections."""

    rss_mib: float
    files: int
    connections: int

    @classmethod
    def of(cls, service: Service, database_url: str) -> "Usage":
        """The current usage of a service."""
        folders = [Path(f"/proc/{worker}") for worker in service.workers()]
        pages = [int((folder / "statm").read_text().split()[1]) for folder in folders]
        with closing(Session(database_url)) as session:
            rows = session.query(
                "SELECT COUNT(*) AS n FROM performance_schema.threads"
                " WHERE processlist_user = 'checkout_app' AND processlist_db = DATABASE()"
            )
        return cls(
            rss_mib=max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20,
            files=max(len(list((folder / "fd").iterdir())) for folder in folders),
            connections=rows[0]["n"],
        )


class Harm:
    """The faults of the soak test; each is over when its method returns."""

    def __init__(self, servers: Servers, database_url: str, redis_url: str, load: Load, moments: random.Random) -> None:
        self._mysql = servers.mysql
        self._redis = servers.redis
        self._database_url = database_url
        self._redis_url = redis_url
        self._load = load
        self._moments = moments
        self.faults: list[Callable[[], None]] = [
            self._kill_mysql,
            self._restart_mysql,
            self._pause_mysql,
            self._kill_redis,
            self._pause_redis,
            self._flush_redis,
            self._kill_connections,
            self._forbid_writes,
            self._hold_a_lock,
            self._replace_routines,
        ]

    def _kill_mysql(self) -> None:
        self._mysql.kill()
        self._mysql.start()

    def _restart_mysql(self) -> None:
        self._mysql.restart()

    def _pause_mysql(self) -> None:
        self._mysql.pause()
        self._wait()
        self._mysql.resume()

    def _kill_redis(self) -> None:
        self._redis.kill()
        self._wait()
        self._redis.start()

    def _pause_redis(self) -> None:
        self._redis.pause()
        self._wait()
        self._redis.resume()

    def _flush_redis(self) -> None:
        with closing(redis.Redis.from_url(self._redis_url)) as client:
            client.flushall()

    def _kill_connections(self) -> None:
        with closing(Session(self._database_url)) as session:
            kill_connections(session)

    def _forbid_writes(self) -> None:
        with closing(Session(self._database_url)) as session:
            session.execute("SET GLOBAL super_read_only = ON")
            self._wait()
            session.execute("SET GLOBAL read_only = OFF")

    def _hold_a_lock(self) -> None:
        with closing(Session(self._database_url)) as session:
            session.execute("START TRANSACTION")
            session.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", self._load.ledger.products[0])
            self._wait()
            session.execute("COMMIT")

    def _replace_routines(self) -> None:
        with closing(Session(self._database_url)) as session:
            session.execute("DELETE FROM installed_objects WHERE name LIKE 'procedures/%%'")
        deploy(self._database_url)

    def _wait(self) -> None:
        time.sleep(self._moments.uniform(0, LONGEST_PAUSE_S))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_minutes_of_load_with_random_faults_lose_nothing_and_leak_nothing(
    service: Service, servers: Servers, database_url: str, redis_url: str, request: pytest.FixtureRequest
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    moments = random.Random(seed)
    faults: Counter[str] = Counter()
    with steady_load(service, database_url, refusals=[HOLD_EXPIRED]) as load:
        harm = Harm(servers, database_url, redis_url, load, moments)
        ends_at = time.monotonic() + 60 * request.config.getoption("--soak-minutes")
        # First every fault occurs once, so that later growth of memory is not the first use of something.
        queue = moments.sample(harm.faults, len(harm.faults))
        usages = []
        while time.monotonic() < ends_at:
            fault = queue.pop() if queue else moments.choice(harm.faults)
            name = fault.__name__.strip("_")
            print(f"{time.strftime('%X')} {name}", flush=True)
            fault()
            load.assert_back_in_service()
            faults[name] += 1
            time.sleep(moments.uniform(0, LONGEST_PAUSE_S))
            if not queue:
                usages.append(Usage.of(service, database_url))
        load.wait_until_served()
        time.sleep(QUIET_S)
        usages.append(Usage.of(service, database_url))
    before, after = usages[0], usages[-1]
    print(f"faults {dict(faults)}", f"answers {dict(load.ledger.statuses())}", *usages, sep="\n")
    assert after.rss_mib < before.rss_mib * MEMORY_GROWTH, (before, after)
    assert after.files <= before.files + MORE_FILES, (before, after)
    assert after.connections <= before.connections + MORE_FILES, (before, after)
