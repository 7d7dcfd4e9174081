"""The cron programs, run as cron runs them: as processes with the cron account."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from service.cache import KEY_PREFIX
from service.deploy import OWNER
from stack.process import free_port
from stack.servers import Servers
from tests.later_release import later_release
from tests.support import Session, eventually

JOBS = ("check_stock", "deliver_events", "purge_history", "refresh_availability", "settle_payments", "sweep_due")

Run = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """A function that runs a job once; returns its exit code and the events that it logged."""

    def run_once(job: str) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            [sys.executable, "-m", f"cron.{job}", "--once"], env=environment, capture_output=True, text=True
        )
        assert done.stderr == ""
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run_once


@pytest.fixture
def cache(servers: Servers) -> Iterator["redis.Redis[bytes]"]:
    """An empty Redis."""
    client = redis.Redis.from_url(servers.redis_url)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.mark.parametrize("job", JOBS)
def test_help_names_the_job_and_its_settings(job: str) -> None:
    command = [sys.executable, "-m", f"cron.{job}", "--help"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert f"python -m cron.{job}" in shown
    assert "MYSQL_URL" in shown


def test_the_crontab_runs_every_job_and_nothing_else() -> None:
    with open("cron/crontab") as crontab:
        named = [line.split("-m cron.")[1].strip() for line in crontab if "-m cron." in line]
    assert sorted(named) == sorted(JOBS)


def test_a_second_run_of_a_job_ends_at_once(run: Run, session: Session) -> None:
    session.query("SELECT GET_LOCK(CONCAT('cron.sweep_due.', DATABASE()), 0)")
    exit_code, events = run("sweep_due")
    assert exit_code == 0
    assert [event["event"] for event in events] == ["job_overlapped"]


def test_a_job_fails_and_shows_no_password_when_mysql_does_not_answer(environment: dict[str, str]) -> None:
    environment["MYSQL_URL"] = "mysql://checkout_cron:secret@127.0.0.1:1/checkout"
    command = [sys.executable, "-m", "cron.sweep_due", "--once"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(done.stdout)["event"] == "job_failed"
    assert "secret" not in done.stdout + done.stderr


def test_a_missing_setting_is_named(environment: dict[str, str]) -> None:
    environment["MYSQL_URL"] = ""
    command = [sys.executable, "-m", "cron.check_stock"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "MYSQL_URL is not set" in done.stderr


def test_sweep_due_lets_an_event_run_that_replication_disabled(run: Run, session: Session) -> None:
    session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due DISABLE ON REPLICA")
    try:
        assert run("sweep_due") == (0, [])
        assert session.call("get_health")[0]["is_sweep_enabled"] == 1
    finally:
        session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due DISABLE")


def test_sweep_due_returns_stock_and_logs_each_sweep_once(run: Run, session: Session) -> None:
    product_id = session.create_product(stock=10)
    session.travel(-1000)
    session.call("create_hold", product_id, 2, None)
    hold_id = session.call("create_hold", product_id, 3, None)[0]["hold_id"]
    session.call("create_order", hold_id, None)
    session.travel(0)
    assert session.available(product_id) == 5

    exit_code, events = run("sweep_due")

    assert exit_code == 0
    assert session.available(product_id) == 10
    reported = [event for event in events if event["event"] == "hold_expired"]
    assert [(event["holds"], event["orders"], event["units"]) for event in reported] == [(1, 1, 5)]
    assert run("sweep_due") == (0, [])


def test_refresh_publishes_changed_products_that_somebody_reads(
    run: Run, session: Session, cache: "redis.Redis[bytes]"
) -> None:
    wanted_id, unwanted_id = session.create_product(stock=10), session.create_product(stock=10)
    cache.hset(f"{KEY_PREFIX}{wanted_id}", mapping={"version": 0, "body": "old", "fresh_until": 0})

    def refresh() -> list[dict[str, Any]] | None:
        """Run the job; None if it got no answer of Redis within 0.1 s, because the machine is slow."""
        exit_code, events = run("refresh_availability")
        assert exit_code == 0
        return events if events[0]["event"] != "cache_degraded" else None

    (event,) = eventually(refresh)
    assert (event["event"], event["products"]) == ("availability_refreshed", 1)
    body = cache.hget(f"{KEY_PREFIX}{wanted_id}", "body")
    assert body is not None
    assert json.loads(body)["available_stock"] == 10
    assert not cache.exists(f"{KEY_PREFIX}{unwanted_id}")


def test_refresh_publishes_every_second_until_its_minute_ends(
    environment: dict[str, str], session: Session, cache: "redis.Redis[bytes]"
) -> None:
    product_id = session.create_product(stock=10)
    cache.hset(f"{KEY_PREFIX}{product_id}", mapping={"version": 0, "body": "old", "fresh_until": 0})
    eventually(lambda: time.time() % 60 < 45)  # else too little of the minute may remain for several refreshes
    process = subprocess.Popen([sys.executable, "-m", "cron.refresh_availability"], env=environment)
    seen: set[bytes | None] = set()

    def has_refreshed_three_times() -> bool:
        seen.add(cache.hget(f"{KEY_PREFIX}{product_id}", "fresh_until"))
        return len(seen) == 4

    try:
        eventually(has_refreshed_three_times)
    finally:
        process.kill()
        process.wait()


def test_every_job_works_with_the_procedures_of_a_later_release(
    run: Run, session: Session, database_url: str, tmp_path: Path
) -> None:
    session.travel(-90_000)
    session.create_hold(session.create_product(stock=10))
    session.call("apply_payment", "an orphan", 999_998, "success")
    session.travel(0)
    session.call("create_event_receiver", f"http://127.0.0.1:{free_port()}/", None)
    session.create_order(session.create_product(stock=10))
    with later_release(database_url, tmp_path):
        done = {job: run(job) for job in JOBS}
    assert {exit_code for exit_code, _ in done.values()} == {0}
    # On a slow machine, Redis may answer too late.
    assert {job: {event["event"] for event in events} - {"cache_degraded"} for job, (_, events) in done.items()} == {
        "check_stock": set(),
        "deliver_events": {"events_delivered"},
        "purge_history": {"history_purged"},
        "refresh_availability": {"availability_refreshed"},
        "settle_payments": {"payment_orphaned"},
        "sweep_due": {"hold_expired"},
    }


def test_check_stock_fails_when_a_product_differs(run: Run, session: Session) -> None:
    product_id = session.create_product(stock=10)
    assert run("check_stock") == (0, [])

    session.execute("UPDATE stock SET available = available - 3 WHERE product_id = %s", product_id)
    exit_code, (event,) = run("check_stock")
    session.execute("UPDATE stock SET available = available + 3 WHERE product_id = %s", product_id)

    assert exit_code == 1
    assert (event["event"], event["level"]) == ("stock_difference", "error")
    assert (event["product_id"], event["difference"]) == (product_id, 3)


def test_settle_payments_settles_events_that_a_crash_left_and_logs_orphans(run: Run, session: Session) -> None:
    product_id = session.create_product(stock=10)
    hold_id = session.call("create_hold", product_id, 1, None)[0]["hold_id"]
    order_id = session.call("create_order", hold_id, None)[0]["order_id"]
    session.execute(
        "INSERT INTO payment_events (idempotency_key, order_id, status, received_at, recorded_by)"
        " VALUES ('left', %s, 'success', UTC_TIMESTAMP(6), 0)",
        order_id,
    )
    session.travel(-90_000)
    session.call("apply_payment", "orphan", 999_999, "success")
    session.travel(0)

    exit_code, events = run("settle_payments")

    assert exit_code == 0
    assert sorted((event["event"], event["level"], event["order_id"]) for event in events) == [
        ("payment_applied", "info", order_id),
        ("payment_orphaned", "warning", 999_999),
    ]
    assert session.call("get_order", order_id)[0]["status"] == "paid"


def test_purge_history_deletes_only_keys_past_their_time(run: Run, session: Session) -> None:
    product_id = session.create_product(stock=10)
    session.travel(-90_000)
    session.call("create_hold", product_id, 1, "old")
    session.travel(0)
    session.call("create_hold", product_id, 1, "young")
    session.call("expire_due", 10)

    exit_code, (event,) = run("purge_history")

    assert exit_code == 0
    assert event["idempotency_keys"] >= 1
    kept = session.query("SELECT idempotency_key FROM idempotency_keys WHERE idempotency_key IN ('old', 'young')")
    assert [bytes(row["idempotency_key"]) for row in kept] == [b"young"]
