"""Connection: answers are never mixed up, errors are classified, broken connections are replaced."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import mysql.connector
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from service.batching import Failure
from service.database import Connection, classify, reason
from service.mysql_url import MysqlUrl
from service.primary import Primary
from service.rows import HoldReduction, HoldRequest, OrderRequest, PaymentEvent, PaymentStart, ScopedId
from tests.http.proxy import Loss, Proxy, proxy_of
from tests.support import PATIENCE_S, Session

GROUP_ERRNOS = (3100, 3101, 3781, 3782, 3783, 3796, 3797, 3798, 3799, 4094, 4311)
# Syntax, unknown column, wrong number of arguments, CHECK, out of range; the last is one of this project.
DEFECT_ERRNOS = (1064, 1054, 1318, 3819, 1264, 1690, 30001)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """A connection with the administrator's account, which may CALL everything."""
    opened = Connection(Primary(MysqlUrl.parse(database_url)))
    yield opened
    await opened.close()


async def connection_id(connection: Connection) -> int:
    """The server's number for the connection."""
    [[(number,)]] = await connection.execute("SELECT CONNECTION_ID()")
    return int(number)


async def test_every_call_gets_its_own_answer_in_any_order_of_calls(connection: Connection, session: Session) -> None:
    random.seed(11)
    products = [session.create_product(stock=1000 + number) for number in range(5)]

    async def read_one() -> None:
        number = random.randrange(5)
        (rows,) = await connection.call("get_products", json.dumps([products[number]]))
        assert [row[0] for row in rows] == [products[number]]

    async def hold_one() -> None:
        product_id = random.choice(products)
        request = {"product_id": product_id, "quantity": 1}
        holds, touched = await connection.call("create_holds", json.dumps([request]))
        assert len(holds) == 1
        assert [row[0] for row in touched] == [product_id]

    async def hold_nothing() -> None:
        (holds,) = await connection.call("create_holds", "[]")
        assert holds == []

    async def fail_by_signal() -> None:
        with pytest.raises(mysql.connector.Error) as caught:
            await connection.call("create_hold", 999_999, 1, None)
        assert caught.value.errno == 30101

    async def fail_by_absence() -> None:
        with pytest.raises(mysql.connector.Error) as caught:
            await connection.call("no_such_procedure")
        assert caught.value.errno == 1305

    acts = [read_one, hold_one, hold_nothing, fail_by_signal, fail_by_absence]
    for _ in range(150):
        await random.choice(acts)()


async def test_a_connection_is_kept_after_successful_calls(connection: Connection) -> None:
    before = await connection_id(connection)
    await connection.call("get_health")
    await connection.call("create_holds", "[]")
    assert await connection_id(connection) == before


async def test_a_connection_is_replaced_after_any_error(connection: Connection) -> None:
    before = await connection_id(connection)
    with pytest.raises(mysql.connector.Error):
        await connection.call("create_hold", 999_999, 1, None)
    assert await connection_id(connection) != before


async def test_a_cancelled_call_leaves_no_answer_for_the_next_one(
    connection: Connection, connect: Callable[[], Session]
) -> None:
    locker = connect()
    product_id = locker.create_product(stock=5)
    await connection.call("get_health")
    locker.execute("START TRANSACTION")
    locker.execute("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)
    request = json.dumps([{"product_id": product_id, "quantity": 1}])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.call("create_holds", request), 0.2)
    locker.execute("COMMIT")
    (rows,) = await connection.call("get_products", json.dumps([product_id]))
    assert rows[0][0] == product_id


async def test_a_killed_connection_is_replaced_after_one_error(connection: Connection, session: Session) -> None:
    session.execute(f"KILL {await connection_id(connection)}")
    with pytest.raises((mysql.connector.Error, OSError)) as caught:
        await connection.call("get_health")
    assert classify(caught.value) is Failure.RETRY
    await connection.call("get_health")


@pytest.mark.usefixtures("server_time_zone")
async def test_a_session_has_utc_autocommit_and_a_lock_wait_timeout_of_one_second(
    connection: Connection,
) -> None:
    [[(zone, timeout_s, autocommit)]] = await connection.execute(
        "SELECT @@time_zone, @@innodb_lock_wait_timeout, @@autocommit"
    )
    assert (zone, timeout_s, autocommit) == ("+00:00", 1, 1)


def test_a_reset_just_before_tls_fails_within_the_connect_timeout(database_url: str) -> None:
    """uvloop, the service's event loop, would wait for ever."""

    async def call_twice(proxy: Proxy) -> None:
        connection = Connection(Primary(MysqlUrl.parse(proxy.url)), call_timeout_s=3 * PATIENCE_S)
        proxy.lose_next(Loss.REQUEST)
        async with asyncio.timeout(PATIENCE_S) as patience:
            with pytest.raises((OSError, mysql.connector.Error)):
                await connection.call("get_health")
        assert not patience.expired()
        await connection.call("get_health")
        await connection.close()

    with proxy_of(database_url) as proxy:
        uvloop.run(call_twice(proxy))


async def test_a_refused_connection_is_retried() -> None:
    connection = Connection(Primary(MysqlUrl.parse("mysql://somebody@127.0.0.1:1/nowhere")))
    with pytest.raises((mysql.connector.Error, OSError)) as caught:
        await connection.call("get_health")
    assert classify(caught.value) is Failure.RETRY
    await connection.close()


@pytest.mark.parametrize(
    ("error", "failure", "word"),
    [
        (mysql.connector.Error(errno=1205), Failure.LOCKED, "locked"),
        (mysql.connector.Error(errno=1213), Failure.RETRY, "deadlock"),
        (mysql.connector.Error(errno=1305), Failure.WAIT, "routine_being_replaced"),
        (mysql.connector.Error(errno=1370), Failure.WAIT, "routine_being_replaced"),
        (mysql.connector.Error(errno=1044), Failure.WAIT, "routine_being_replaced"),
        (mysql.connector.Error(errno=1356), Failure.WAIT, "routine_being_replaced"),
        (mysql.connector.Error(errno=1040), Failure.RETRY, "too_many_connections"),
        (mysql.connector.Error(errno=1226), Failure.RETRY, "account_limit_reached"),
        (mysql.connector.Error(errno=1045), Failure.RETRY, "access_denied"),
        (mysql.connector.Error(errno=1820), Failure.RETRY, "password_expired"),
        (mysql.connector.Error(errno=1862), Failure.RETRY, "password_expired"),
        (mysql.connector.Error(errno=3032), Failure.RETRY, "offline_mode"),
        (mysql.connector.Error(errno=3118), Failure.RETRY, "account_locked"),
        (mysql.connector.Error(errno=3159), Failure.RETRY, "tls_required"),
        (mysql.connector.Error(errno=1290), Failure.RETRY, "read_only"),
        (mysql.connector.Error(errno=1114), Failure.RETRY, "disk_full"),
        (mysql.connector.Error(errno=2003), Failure.RETRY, "not_listening"),
        (mysql.connector.Error(errno=1053), Failure.RETRY, "shutting_down"),
        (mysql.connector.Error(errno=2006), Failure.RETRY, "connection_lost"),
        (mysql.connector.Error(errno=2013), Failure.RETRY, "connection_lost"),
        (TimeoutError(), Failure.RETRY, "no_answer"),
        (ConnectionResetError(), Failure.RETRY, "connection_lost"),
        (asyncio.IncompleteReadError(b"", 4), Failure.RETRY, "connection_lost"),
        *((mysql.connector.Error(errno=errno), Failure.RETRY, "not_primary") for errno in GROUP_ERRNOS),
        *((mysql.connector.Error(errno=errno), Failure.DEFECT, "defect") for errno in DEFECT_ERRNOS),
        (ValueError(), Failure.DEFECT, "defect"),
        (mysql.connector.Error(errno=1142), Failure.UNKNOWN, "unknown_error"),
        (mysql.connector.Error(errno=9999), Failure.UNKNOWN, "unknown_error"),
    ],
)
def test_an_error_is_classified_and_named_by_its_errno(error: BaseException, failure: Failure, word: str) -> None:
    assert classify(error) is failure
    assert reason(error) == word


TEXT = st.text(max_size=400)
IDS = st.integers(-(2**63), 2**63 - 1)
CALLERS = st.text(st.sampled_from("aZ09_.-"), max_size=64)  # the names that API_KEYS accepts
SCOPED_IDS = st.builds(ScopedId, IDS, CALLERS)


@pytest.mark.parametrize(
    ("procedure", "requests"),
    [
        ("create_holds", st.builds(HoldRequest, IDS, IDS, TEXT, st.booleans(), CALLERS, st.none() | TEXT)),
        ("create_orders", st.builds(OrderRequest, TEXT, st.booleans(), CALLERS, IDS)),
        (
            "create_orders",
            st.builds(OrderRequest, TEXT, st.booleans(), CALLERS, hold_ids=st.lists(IDS, min_size=1, max_size=50)),
        ),
        ("reduce_holds", st.builds(HoldReduction, IDS, CALLERS, IDS)),
        ("apply_payments", st.builds(PaymentEvent, TEXT, TEXT, st.none() | IDS, st.none() | TEXT)),
        *((name, SCOPED_IDS) for name in ("release_holds", "extend_holds", "cancel_orders")),
        ("start_payments", st.builds(PaymentStart, IDS, CALLERS, st.none() | IDS)),
        *((name, SCOPED_IDS) for name in ("get_holds", "get_orders")),
        ("get_products", IDS),
    ],
)
def test_no_content_of_a_request_makes_a_call_fail(
    session: Session, procedure: str, requests: st.SearchStrategy[Any]
) -> None:
    """So an errno that is not one of this project means a fault of the server or a defect."""

    @given(st.lists(requests, min_size=1, max_size=4))
    def call(batch: list[Any]) -> None:
        assert len(session.call(procedure, msgspec.json.encode(batch).decode())) == len(batch)

    call()
