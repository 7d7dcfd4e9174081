"""Private servers: two at once, killed, frozen, left over from another run."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.mysql_url import MysqlUrl
from stack import servers as stack_servers
from stack.errors import StackError
from stack.process import port_is_free
from stack.programs import find_redis_server
from stack.redis import RedisServer
from stack.servers import PROJECT, Servers
from tests.support import PATIENCE_S, Session

SECOND = "test-second"
START_REDIS_AND_WAIT = """
import pathlib, signal, sys
from stack.programs import find_redis_server
from stack.redis import RedisServer
folder = pathlib.Path(sys.argv[1])
redis = RedisServer(folder, folder, find_redis_server())
redis.start()
print("started", flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def second() -> Iterator[Servers]:
    """Private servers of another name, which these tests may kill."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYSQL_URL", "")
        patch.setenv("REDIS_URL", "")
        with stack_servers.start(SECOND, buffer_pool_mib=64) as started:
            yield started


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server in a new folder, not started yet."""
    server = RedisServer(tmp_path, tmp_path, find_redis_server())
    yield server
    server.stop()


@contextmanager
def idle_process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process with these arguments that does nothing, in its own process group like a server."""
    script = "import signal; print('started', flush=True); signal.pause()"
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def count_rows(url: str) -> int:
    """The number of rows of the table that the following tests write."""
    session = Session(url)
    count: int = session.query("SELECT COUNT(*) AS n FROM killed.t")[0]["n"]
    session.close()
    return count


def test_two_names_run_side_by_side(servers: Servers, second: Servers) -> None:
    """They share neither addresses nor data."""
    uuids = set()
    for url in (servers.mysql_url, second.mysql_url):
        session = Session(url)
        uuids.add(session.query("SELECT @@server_uuid AS uuid")[0]["uuid"])
        session.close()
    assert len(uuids) == 2
    assert servers.redis_url != second.redis_url


def test_a_second_run_of_a_name_is_refused(second: Servers) -> None:
    """The error names the process to stop, and the first run is not disturbed."""
    complaint = f"already running in this clone, as process {os.getpid()}"
    with pytest.raises(StackError, match=complaint), stack_servers.start(SECOND):
        pass
    assert second.mysql.is_running()


def test_mysql_can_be_reached_by_socket_and_by_port(second: Servers) -> None:
    """The URL's socket wins, its host and port hold as well."""
    by_socket = Session(second.mysql_url)
    by_port = Session(second.mysql_url.partition("?")[0])
    assert MysqlUrl.parse(second.mysql_url).hosts[0].host == "127.0.0.1"
    assert by_socket.query("SELECT CURRENT_USER() AS me") == [{"me": "root@localhost"}]
    assert by_port.query("SELECT CURRENT_USER() AS me") == [{"me": "root@127.0.0.1"}]
    by_socket.close()
    by_port.close()


def test_mysql_is_durable_and_runs_events_in_utc(second: Servers) -> None:
    """So no measurement profits from settings that could lose a commit."""
    session = Session(second.mysql_url)
    settings = session.query(
        "SELECT @@sync_binlog, @@innodb_flush_log_at_trx_commit, @@log_bin, @@event_scheduler, @@time_zone"
    )
    session.close()
    assert list(settings[0].values()) == [1, 1, 1, "ON", "+00:00"]


def test_a_killed_mysql_restarts_at_the_same_address_with_every_commit(second: Servers) -> None:
    """A kill -9 loses nothing that was committed."""
    session = Session(second.mysql_url)
    session.execute("DROP DATABASE IF EXISTS killed")
    session.execute("CREATE DATABASE killed")
    session.execute("CREATE TABLE killed.t (id INT PRIMARY KEY)")
    session.execute("INSERT INTO killed.t VALUES (1), (2)")
    second.mysql.kill()
    assert not second.mysql.is_running()
    second.mysql.start()
    assert count_rows(second.mysql_url) == 2


def test_a_server_restarted_from_a_thread_outlives_the_thread(second: Servers) -> None:
    """The kernel sends the death signal when the starting thread ends, which must not be the caller's."""
    thread = threading.Thread(target=second.redis.restart)
    thread.start()
    thread.join()
    with pytest.raises(StackError, match="running already"):
        second.redis.start()
    assert second.redis.answers()


def test_a_frozen_server_answers_only_after_it_is_resumed(second: Servers) -> None:
    """A frozen server keeps its connections open and does not answer."""
    second.redis.pause()
    assert second.redis.is_running()
    assert not second.redis.answers()
    second.redis.resume()
    assert second.redis.answers()


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_port_is_free_when_nothing_listens_on_it(host: str, family: socket.AddressFamily) -> None:
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        assert not port_is_free(host, port)
    assert port_is_free(host, port)


def test_servers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Also when the starter is killed (SIGKILL)."""
    command = [sys.executable, "-c", START_REDIS_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        redis = os.pidfd_open(int((tmp_path / "pid").read_text()))
        starter.kill()
    ended, _, _ = select.select([redis], [], [], 10)
    os.close(redis)
    assert ended


def test_a_leftover_of_the_same_folder_is_killed(redis: RedisServer, tmp_path: Path) -> None:
    """The next run kills a server that outlived its run."""
    with idle_process(f"{tmp_path}/redis.conf") as leftover:
        (tmp_path / "pid").write_text(str(leftover.pid))
        redis.start()
        assert leftover.wait(PATIENCE_S) == -signal.SIGKILL


def test_another_program_with_the_pid_of_a_leftover_is_not_killed(redis: RedisServer, tmp_path: Path) -> None:
    """The kernel may give the pid to another program."""
    with idle_process() as stranger:
        (tmp_path / "pid").write_text(str(stranger.pid))
        redis.start()
        assert stranger.poll() is None


@pytest.mark.parametrize("content", ["", "999999999"])
def test_an_invalid_pid_file_does_not_prevent_a_start(redis: RedisServer, tmp_path: Path, content: str) -> None:
    """The file may be incomplete because its run was killed, or its server may have ended."""
    (tmp_path / "pid").write_text(content)
    redis.start()
    assert redis.answers()
