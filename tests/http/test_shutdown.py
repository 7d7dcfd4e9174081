"""The service's stop answers accepted requests first. tests/faults/test_operations.py stops it under load."""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.http.support import Service, async_client, hold_request
from tests.http.test_metrics import Metrics
from tests.support import Session, eventually, is_waited_for


def test_neither_an_idle_connection_nor_a_reader_who_waits_delays_the_stop(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    with service.client() as client, service.client() as reader, ThreadPoolExecutor(1) as pool:
        client.get("/healthz")
        answer = pool.submit(reader.get, "/api/events", params={"wait_s": 30})
        eventually(lambda: Metrics(service).value("event_readers") == 1)
        service.stop()
        assert (answer.result().status_code, answer.result().json()) == (200, {"items": [], "next": 0})
    assert service.exit_code() == 0
    assert service.text().count("Worker exiting") == 2, "a worker was killed"


def test_an_interrupt_stops_the_workers_in_order(start_service: Callable[..., Service]) -> None:
    service = start_service()
    assert service.process_id
    os.kill(service.process_id, signal.SIGINT)
    service.finish()
    assert service.text().count("Worker exiting") == 2, "a worker was killed"


def test_a_request_in_flight_is_answered_before_the_stop(
    start_service: Callable[..., Service], connect: Callable[[], Session]
) -> None:
    """A DBA's lock delays the request until the stop has begun."""
    service = start_service(REQUEST_DEADLINE_S="10")
    dba, session = connect(), connect()
    product_id = session.create_product(stock=5)
    dba.execute("START TRANSACTION")
    dba.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)

    async def stop_while_a_hold_waits() -> httpx.Response:
        async with async_client(service.url) as client:
            answer = asyncio.create_task(client.request(**hold_request(product_id)))
            await asyncio.to_thread(eventually, lambda: is_waited_for(session, dba))
            stop = asyncio.create_task(asyncio.to_thread(service.stop))
            await asyncio.to_thread(eventually, lambda: "Handling signal: term" in service.text())
            await asyncio.to_thread(dba.execute, "COMMIT")
            await stop
            return await answer

    response = asyncio.run(stop_while_a_hold_waits())
    assert response.status_code == 201
    assert session.available(product_id) == 4


def test_clients_that_disconnect_early_leave_consistent_stock(
    start_service: Callable[..., Service], session: Session
) -> None:
    """Each client disconnects at another moment of its request."""
    service = start_service()
    product_id = session.create_product(stock=500)

    async def break_off(patience_s: float) -> None:
        async with async_client(service.url) as client:
            client.timeout = httpx.Timeout(patience_s)
            try:
                await client.request(**hold_request(product_id))
            except httpx.TransportError:
                return

    async def crowd() -> None:
        await asyncio.gather(*(break_off(0.0005 * number) for number in range(1, 101)))

    asyncio.run(crowd())
    with service.client() as client:
        assert client.request(**hold_request(product_id)).status_code == 201
    held = session.query("SELECT COUNT(*) AS n FROM holds WHERE product_id = %s", product_id)[0]["n"]
    assert session.available(product_id) == 500 - held
