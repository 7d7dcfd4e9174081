"""MySQL's clock is changed under load: deadlines follow it, and no unit is lost or sold twice.

libfaketime changes the clock of one process. MySQL has no global `timestamp`, and Linux's time namespaces do not
change the wall clock.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.mysql_url import MysqlUrl
from stack import packages, programs
from stack.mysql import MysqlServer
from stack.servers import Servers
from tests.faults.ledger import HOLD_EXPIRED, steady_load
from tests.http.support import Service
from tests.support import PASSWORDS, Session, eventually, new_database

HOUR_S = 3600
PACKAGE = "libfaketime"
LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"


class SteppedMysql(MysqlServer):
    """A MySQL server whose clock can be set."""

    def __init__(self, folder: Path, sockets: Path, library: Path) -> None:
        """Configure the usual MySQL with libfaketime preloaded."""
        super().__init__(folder, sockets, programs.find_mysqld(), buffer_pool_mib=128)
        self._offset = folder / "offset"
        self._write_offset(0)
        self._environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_CACHE_DURATION": "1",
            # The monotonic clock, which measures waits, does not change when the wall clock is set.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def set_clock(self, offset_s: int) -> None:
        """Set the clock so many seconds from this machine's, and return when the server shows it."""
        self._write_offset(offset_s)
        with closing(Session(str(self.url))) as session:
            eventually(lambda: abs(_now(session) - time.time() - offset_s) < HOUR_S / 2)

    def _write_offset(self, offset_s: int) -> None:
        """Replace the file atomically, because the library ends the process when it reads an empty one."""
        partial = self._offset.with_name("offset.partial")
        partial.write_text(f"{offset_s:+d}\n")
        partial.rename(self._offset)


def _now(session: Session) -> float:
    return float(session.query("SELECT UNIX_TIMESTAMP(SYSDATE(6)) AS now")[0]["now"])


@pytest.fixture
def stepped_mysql(servers: Servers) -> Iterator[SteppedMysql]:
    """A server whose clock can be set, deleted after the test."""
    if not packages.apt_is_available():
        pytest.skip(f"{PACKAGE} comes from Debian, and there is no apt here")
    library = next(packages.unpacked([PACKAGE]).glob(LIBRARY))
    with tempfile.TemporaryDirectory(prefix="checkout-", dir="/tmp") as sockets:
        folder = servers.folder / "stepped"
        (folder / "error.log").unlink(missing_ok=True)
        server = SteppedMysql(folder, Path(sockets), library)
        server.start()
        if "cannot be preloaded" in (folder / "error.log").read_text():
            server.stop()
            pytest.skip(f"the mysqld on PATH cannot load Debian's {PACKAGE}")
        yield server
        server.stop()


def test_nothing_is_lost_when_mysql_s_clock_jumps_an_hour_ahead_and_two_back(
    stepped_mysql: SteppedMysql, start_service: Callable[..., Service]
) -> None:
    with new_database(str(stepped_mysql.url), "stepped") as url, closing(Session(url)) as session:
        app_url = str(MysqlUrl.parse(url).for_account("checkout_app", PASSWORDS["checkout_app"]))
        service = start_service(mysql_url=app_url)
        product_id = session.create_product(stock=1)
        with steady_load(service, url, refusals=[HOLD_EXPIRED]) as load:
            early = session.create_hold(product_id)
            stepped_mysql.set_clock(HOUR_S)
            load.wait_until_served(3)
            late = session.create_hold(product_id)  # the early one has been swept
            for offset_s in (-HOUR_S, 0):
                stepped_mysql.set_clock(offset_s)
                load.wait_until_served(3)
            assert (session.status_of("hold", early), session.status_of("hold", late)) == ("expired", "active")
