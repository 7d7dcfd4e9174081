"""The shop's receiver of events during a simulated sale, and the program of cron that delivers them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from dotenv import dotenv_values
from standardwebhooks import Webhook

from service.database import ResultSets
from stack import running

POLL_INTERVAL_S = 0.2

Call = Callable[..., Awaitable[ResultSets]]


class EventReceiver:
    """Counts the events of the sale; refuses those whose signature is not valid.

    execute  runs a statement as an operator, on whichever server is the primary now
    """

    def __init__(self, execute: Call) -> None:
        self._execute = execute
        self._positions: set[int] = set()
        self._verifier: Webhook | None = None
        self.receiver_id = 0

    @property
    def received(self) -> int:
        """The number of different events."""
        return len(self._positions)

    async def catch_up(self) -> None:
        """Wait until every event has been delivered."""
        while True:
            [[(open_events,)]] = await self._execute(
                "SELECT events_behind + events_retried FROM event_deliveries WHERE receiver_id = %s", self.receiver_id
            )
            if not open_events:
                return
            await asyncio.sleep(POLL_INTERVAL_S)

    async def open(self, port: int) -> None:
        """Have events delivered to a port of this machine."""
        [[(self.receiver_id, secret, *_)], *_] = await self._execute(
            "CALL create_event_receiver(%s, NULL)", f"http://127.0.0.1:{port}/events"
        )
        self._verifier = Webhook(secret)

    async def close(self) -> None:
        """Have no more events delivered."""
        if self.receiver_id:
            await self._execute("CALL remove_event_receiver(%s)", self.receiver_id)

    async def take(self, request: web.Request) -> web.Response:
        """Answer a delivery."""
        if self._verifier is None:
            return web.Response(status=503)
        event: Any = self._verifier.verify(await request.read(), dict(request.headers))
        self._positions.add(event["position"])
        return web.Response(status=204)


@asynccontextmanager
async def receiving(execute: Call) -> AsyncIterator[EventReceiver]:
    """Receive the events of the block, with a program of cron that delivers them; ends when all are delivered."""
    receiver = EventReceiver(execute)
    application = web.Application()
    application.router.add_post("/events", receiver.take)
    server = web.AppRunner(application, access_log=None)
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    delivery = asyncio.create_task(deliver())
    try:
        await receiver.open(server.addresses[0][1])
        yield receiver
        await receiver.catch_up()
    finally:
        delivery.cancel()
        await asyncio.gather(delivery, return_exceptions=True)
        await receiver.close()
        await server.cleanup()


async def deliver() -> None:
    """Run deliver_events minute by minute, as cron does, until this task is cancelled."""
    environment = {name: value or "" for name, value in dotenv_values(running.FOLDER / "cron.env").items()}
    while True:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cron.deliver_events"), env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await program.wait()
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
